import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "@jest/globals";
import { KeptOutput, MAX_KEPT_BYTES } from "./kept-output.ts";
import { prefixedLines } from "./prefixed-lines.ts";

async function prefixed(...chunks: (string | Buffer)[]): Promise<string> {
  const lines = prefixedLines("a | ");
  for (const chunk of chunks) lines.write(chunk);
  lines.end();
  return text(lines);
}

describe("lines with a prefix", () => {
  it.each([
    ["whole lines", ["x\ny\n"], "a | x\na | y\n"],
    ["a line in pieces", ["x", "y", "z\n"], "a | xyz\n"],
    ["a last line without its end", ["x\ny"], "a | x\na | y\n"],
    ["an empty line", ["\n"], "a | \n"],
    ["nothing", [], ""],
    ["a carriage return, which is the line's own", ["x\r\n"], "a | x\r\n"],
  ])("are made of %s", async (_what, chunks, lines) => {
    expect(await prefixed(...chunks)).toBe(lines);
  });

  it("are not cut within a character", async () => {
    const [first, second] = [Buffer.from("ä").subarray(0, 1), Buffer.from("ä\n").subarray(1)];
    expect(await prefixed(first, second)).toBe("a | ä\n");
  });

  it("go on when a line does not end, so that what is kept is bounded", async () => {
    const lines = prefixedLines("a | ");
    let seen = 0;
    lines.on("data", (chunk: string) => {
      seen += chunk.length;
    });
    for (let i = 0; i < 100; i++) lines.write("x".repeat(10_000));
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toBeGreaterThan(900_000);
  });
});

describe("output that is kept", () => {
  it("is its beginning, and says so", async () => {
    const from = new PassThrough();
    const kept = new KeptOutput();
    from.pipe(kept);
    for (let i = 0; i < 30; i++) from.write(Buffer.alloc(100_000, "x"));
    from.end();
    await new Promise((resolve) => kept.once("finish", resolve));
    expect([kept.text.length, kept.isCut]).toEqual([MAX_KEPT_BYTES, true]);
  });

  it("is whole where it is short", async () => {
    const kept = new KeptOutput();
    kept.write("ä");
    kept.end();
    await new Promise((resolve) => kept.once("finish", resolve));
    expect([kept.text, kept.isCut]).toEqual(["ä", false]);
  });
});
