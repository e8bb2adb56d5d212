import { fc, fuzz, mutatedText } from "@fairlead/fuzzing";
import { describe, expect, it } from "@jest/globals";
import { type Parsed, parse, parseByNode } from "./answer-fixture.ts";
import { GOOD } from "./good-answers-fixture.ts";

describe("answers that were changed at random", () => {
  const PIECES = [
    "\r\n",
    "\r",
    "\n",
    "\0",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "0",
    "5",
    "f",
    "-",
    "\xa0",
    "\xff",
    "\r\n\r\n",
    "0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "HTTP/1.1 100 x\r\n\r\n",
    "HTTP/1.0",
    "1;x\r\n",
  ];

  const answers = fc.constantFrom(...GOOD).chain(({ method = "GET", bytes }) =>
    fc.record({
      method: fc.oneof({ weight: 11, arbitrary: fc.constant(method) }, { weight: 1, arbitrary: fc.constant("HEAD") }),
      bytes: mutatedText(fc.constant(bytes), PIECES),
    }),
  );
  const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 });

  it("are read the same however they are cut, end at most once, and hold no byte that was not announced", async () => {
    const seen = { over: 0, refused: 0, open: 0 };
    const property = fc.property(answers, fc.boolean(), lengths, ({ method, bytes }, closed, cuts) => {
      const whole = parse(method, bytes, "whole", closed);
      expect(parse(method, bytes, "each byte", closed)).toEqual(whole);
      expect(parse(method, bytes, cuts, closed)).toEqual(whole);
      expect(isWithinLength(whole)).toBe(true);
      if (whole.fault !== undefined) seen.refused++;
      else if (whole.trailers) seen.over++;
      else seen.open++;
    });
    await fuzz(3_000, property);
    expect(Math.min(seen.over, seen.refused, seen.open)).toBeGreaterThan(150);
  });

  it("and are not refused are what node's own client reads", async () => {
    let compared = 0;
    const property = fc.asyncProperty(answers, async ({ method, bytes }) => {
      const parsed = parse(method, bytes, "whole", true);
      if (parsed.fault !== undefined || parsed.head?.status === 101) return;
      // node takes a blank off the end of a value and no tab (RFC 9110, 5.6.3), and so no longer sees what is chunked.
      if (/^transfer-encoding:.*\t\r$/im.test(bytes)) return;
      const node = await parseByNode(method, bytes);
      // node reads extensions, and a 1xx's length and close, which mean nothing, and refuses what is none.
      if (/chunk size|chunk extensions|Content-Length|Transfer-Encoding|Data after/.test(node.fault ?? "")) return;
      expect({ ...node, keepAlive: undefined }).toEqual({ ...parsed, keepAlive: undefined });
      compared++;
    });
    await fuzz(1_500, property);
    expect(compared).toBeGreaterThan(150);
  });
});

function isWithinLength({ head, body }: Parsed): boolean {
  const raw = head?.rawHeaders ?? [];
  const at = raw.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "content-length");
  return head?.status === 101 || at < 0 || body.length <= Number(raw[at + 1]);
}
