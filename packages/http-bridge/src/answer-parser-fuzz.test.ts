import { describe, expect, it } from "@jest/globals";
import { type Cuts, type Parsed, parse, parseByNode } from "./answer-fixture.ts";
import { GOOD, type Good } from "./good-answers-fixture.ts";
import { seeded } from "./wire-fixture.ts";

describe("ten thousand answers that were changed at random", () => {
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

  function mutated(random: (end: number) => number): { method: string; bytes: string } {
    const { method = "GET", bytes: original } = GOOD[random(GOOD.length)] as Good;
    let bytes = original;
    for (let changes = 1 + random(3); changes > 0; changes--) {
      const at = random(bytes.length + 1);
      const to = Math.min(bytes.length, at + random(6));
      const change = random(5);
      const piece = PIECES[random(PIECES.length)] ?? "";
      if (change === 0) bytes = bytes.slice(0, at) + piece + bytes.slice(at);
      else if (change === 1) bytes = bytes.slice(0, at) + bytes.slice(to);
      else if (change === 2) bytes = bytes.slice(0, at) + String.fromCharCode(random(256)) + bytes.slice(at + 1);
      else if (change === 3) bytes = bytes.slice(0, to) + bytes.slice(at);
      else bytes = bytes.slice(0, at) + piece + bytes.slice(to);
    }
    return { method: random(12) === 0 ? "HEAD" : method, bytes };
  }

  it("are read the same however they are cut, end at most once, and hold no byte that was not announced", () => {
    const random = seeded(9112);
    const seen = { over: 0, refused: 0, open: 0 };
    for (let i = 0; i < 10_000; i++) {
      const { method, bytes } = mutated(random);
      const closed = random(2) === 0;
      const whole = parse(method, bytes, "whole", closed);
      for (const cuts of ["each byte", [1 + random(9), 1 + random(40)]] as Cuts[]) {
        expect([bytes, parse(method, bytes, cuts, closed)]).toEqual([bytes, whole]);
      }
      if (whole.fault !== undefined) seen.refused++;
      else if (whole.trailers) seen.over++;
      else seen.open++;
      expect([bytes, isWithinLength(whole)]).toEqual([bytes, true]);
    }
    expect(Math.min(seen.over, seen.refused, seen.open)).toBeGreaterThan(500);
  });

  it("and are not refused are what node's own client reads", async () => {
    const random = seeded(9110);
    let compared = 0;
    for (let i = 0; i < 10_000; i++) {
      const { method, bytes } = mutated(random);
      const parsed = parse(method, bytes, "whole", true);
      if (parsed.fault !== undefined || parsed.head?.status === 101) continue;
      const node = await parseByNode(method, bytes);
      // node reads extensions and a 1xx's length, which mean nothing, and refuses what is none.
      if (/chunk size|chunk extensions|Content-Length|Transfer-Encoding/.test(node.fault ?? "")) continue;
      expect([bytes, { ...node, keepAlive: undefined }]).toEqual([bytes, { ...parsed, keepAlive: undefined }]);
      compared++;
    }
    expect(compared).toBeGreaterThan(1_000);
  });
});

function isWithinLength({ head, body }: Parsed): boolean {
  const raw = head?.rawHeaders ?? [];
  const at = raw.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "content-length");
  return head?.status === 101 || at < 0 || body.length <= Number(raw[at + 1]);
}
