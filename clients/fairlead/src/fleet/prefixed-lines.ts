import { Transform } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** Of a line without end, how much is kept until it is written, in characters. */
const MAX_LINE = 64 * 1024;

/** Puts a prefix before each line. Lines go on whole, so that those of many programs can be written to one place. */
export function prefixedLines(prefix: string): Transform {
  const decoder = new StringDecoder("utf8");
  let begun = "";
  return new Transform({
    decodeStrings: true,
    encoding: "utf8",
    transform(chunk: Buffer, _encoding, done) {
      const lines = (begun + decoder.write(chunk)).split("\n");
      begun = lines.pop() ?? "";
      const whole = lines.map((line) => `${prefix}${line}\n`);
      if (begun.length > MAX_LINE) {
        whole.push(`${prefix}${begun}\n`);
        begun = "";
      }
      done(null, whole.join(""));
    },
    flush(done) {
      begun += decoder.end();
      done(null, begun === "" ? "" : `${prefix}${begun}\n`);
    },
  });
}
