import { MAX_HEAD_BYTES } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { type Cuts, type Parsed, parse } from "./answer-fixture.ts";
import { CHUNKED, CUTS, counted } from "./good-answers-fixture.ts";

/** Refuses in one read and byte by byte; nothing of the answer is told but what is before the fault. */
function refused(bytes: string, fault: string, told: Partial<Parsed> = {}, method = "GET"): void {
  for (const cuts of CUTS) {
    const parsed = parse(method, bytes, cuts);
    expect([cuts, parsed]).toMatchObject([cuts, { fault, trailers: undefined, head: undefined, ...told }]);
  }
}

describe("an answer is refused", () => {
  it.each([
    ["another protocol", "SSH-2.0-OpenSSH\r\n"],
    ["HTTP/2's frames", "\0\0\x12\x04\0\0\0\0\0"],
    ["a TLS alert", "\x15\x03\x01\0\x02\x02\x16"],
    ["a line before it", "\r\nHTTP/1.1 200 OK\r\n\r\n"],
    ["a blank before it", " HTTP/1.1 200 OK\r\n\r\n"],
    ["HTTP/2", "HTTP/2 200 OK\r\n\r\n"],
    ["HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"],
    ["HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n"],
    ["HTTP/0.9", "<html>no head at all</html>"],
    ["its protocol in lower case", "http/1.1 200 OK\r\n\r\n"],
    ["a tab before the status", "HTTP/1.1\t200 OK\r\n\r\n"],
    ["two blanks before the status", "HTTP/1.1  200 OK\r\n\r\n"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["a status that is no number", "HTTP/1.1 2x0 OK\r\n\r\n"],
    ["a status with a sign", "HTTP/1.1 +20 OK\r\n\r\n"],
    ["digits of another script", "HTTP/1.1 \xb2\xb3\xb9 OK\r\n\r\n"],
    ["no status", "HTTP/1.1 OK\r\n\r\n"],
    ["a NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n"],
    ["a CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n"],
    ["a bare LF behind the status line", "HTTP/1.1 200 OK\nX: y\r\n\r\n"],
    ["DEL in the reason", "HTTP/1.1 200 \x7f\r\n\r\n"],
  ])("for %s", (_what, bytes) => refused(bytes, "the answer is not HTTP/1.1"));

  it.each(["000", "001", "099"])("for the status %s", (status) => {
    refused(`HTTP/1.1 ${status} x\r\n\r\n`, `${Number(status)} is no status`);
  });

  it.each([
    ["a folded line", "X: y\r\n z"],
    ["a line folded with a tab", "X: y\r\n\tz: a"],
    ["a first line that is folded", " X: y"],
    ["a blank before the colon", "X : y"],
    ["a tab before the colon", "Content-Length\t: 5"],
    ["no colon", "X"],
    ["no name", ": y"],
    ["a blank in the name", "X Y: z"],
    ["a byte above 0x7f in the name", "X\xe9: y"],
    ["a NUL in the name", "X\0: y"],
    ["a bracket in the name", "X(y): z"],
    ["a NUL in the value", "X: a\0b"],
    ["a NUL at the value's end", "X: a\0"],
    ["a CR in the value", "X: a\rb"],
    ["a CR at the value's end", "X: a\r"],
    ["a CR at the value's beginning", "X:\r a"],
    ["an LF in the value", "X: a\nb"],
    ["an LF that would begin a header", "X: a\nContent-Length: 5"],
    ["a line that ends with LF alone", "X: a\nY: b"],
    ["DEL in the value", "X: \x7f"],
    ["a vertical tab in the value", "X: a\x0bb"],
    ["a form feed at the value's end", "X: a\x0c"],
    ["an escape in the value", "X: \x1b[31m"],
  ])("for a header with %s, as a trailer too, and in a 1xx", (_what, line) => {
    const fault = "a line of the head is no header";
    refused(`HTTP/1.1 200 OK\r\n${line}\r\nContent-Length: 0\r\n\r\n`, fault);
    refused(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${line}\r\n\r\n`, fault);
    refused(`HTTP/1.1 100 Continue\r\n${line}\r\n\r\n`, fault);
    refused(`${CHUNKED}1\r\na\r\n0\r\n${line}\r\n\r\n`, fault, { head: expect.anything() as never, body: "a" });
  });

  it.each([
    ["two lengths that differ", "Content-Length: 5\r\nContent-Length: 6"],
    ["two lengths that agree", "Content-Length: 5\r\ncontent-length: 5"],
    ["two lengths of nothing", "Content-Length: 0\r\nContent-Length: 0"],
    ["a length and a coding", "Content-Length: 5\r\nTransfer-Encoding: chunked"],
    ["a coding and a length", "Transfer-Encoding: chunked\r\nContent-Length: 5"],
    ["two codings", "Transfer-Encoding: chunked\r\nTRANSFER-ENCODING: chunked"],
    ["two codings, one of which is empty", "Transfer-Encoding: \r\nTransfer-Encoding: chunked"],
  ])("for %s, also where there is no body", (_what, lines) => {
    const fault = "the answer's length is said more than once";
    refused(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\nhello`, fault);
    refused(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\n`, fault, {}, "HEAD");
    refused(`HTTP/1.1 304 x\r\n${lines}\r\n\r\n`, fault);
  });

  it.each([
    "",
    "x",
    "5x",
    "x5",
    "-5",
    "+5",
    "5.0",
    "5e0",
    "0x5",
    "5 5",
    "5,5",
    "5, 5",
    "5;",
    "\xb2",
    "1".repeat(16),
    "9".repeat(400),
    "00000000000000005",
    "Infinity",
    "NaN",
  ])("for the length %j", (length) => {
    refused(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\nhello`, "the answer's length is not a number");
  });

  it.each([
    "gzip",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "identity",
    "",
    "chunkedd",
    "xchunked",
    "chunked;q=1",
    "\xa0chunked",
  ])("for the coding %j", (coding) =>
    refused(`HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n`, `transfer coding ${coding}`),
  );

  const begun = { head: expect.anything() as never, keepAlive: true };

  it.each([
    "",
    " ",
    " 5",
    "-1",
    "-0",
    "+5",
    "0x5",
    "5h",
    "g",
    "5.0",
    "5,5",
    "5 5",
    "5\t6",
    "\xb2",
    "5\0",
    "5\r",
    "5;a\0",
    "5;a\rb",
    "5;a\x7f",
    "0000000000005",
    "fffffffffffff",
    "1".repeat(400),
    ";a",
    "5\nhello",
    "5;\nhello",
  ])("for the chunk size %j", (size) => {
    refused(`${CHUNKED}${size}\r\nhello\r\n0\r\n\r\n`, "a chunk's size cannot be read", begun);
    refused(`${CHUNKED}1\r\na\r\n${size}\r\n`, "a chunk's size cannot be read", { ...begun, body: "a" });
  });

  it.each([
    ["one byte more than it said", "5\r\nhellooo\r\n0\r\n\r\n"],
    ["one byte less than it said", "5\r\nhell\r\n0\r\n\r\n"],
    ["no line end", "5\r\nhello0\r\n\r\n"],
    ["an LF alone", "5\r\nhello\n0\r\n\r\n"],
    ["a CR alone", "5\r\nhello\r0\r\n\r\n"],
    ["two CRs", "5\r\nhello\r\r\n0\r\n\r\n"],
  ])("for a chunk with %s behind it", (what, rest) => {
    const body = what.startsWith("one byte less") ? "hell\r" : "hello";
    refused(CHUNKED + rest, "a chunk does not end where it said", { ...begun, body });
  });

  it("with what was told before the fault, and no more", () => {
    refused(`HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nX\r\n\r\n`, "a line of the head is no header", {
      informational: [{ status: 103, reason: "x", rawHeaders: [] }],
    });
  });
});

describe("the limit", () => {
  const PIECE: Cuts[] = ["whole", [16_384], [65_536, 3]];
  /** A line of as many bytes as are missing. */
  const filled = (before: string, bytes: number) => `${before}X: ${"a".repeat(bytes - before.length - 3)}`;
  const last: Cuts = [MAX_HEAD_BYTES - 6, ...Array.from({ length: 40 }, () => 1)];

  it("of a head is 1 MiB, line and headers, however it is cut", () => {
    const before = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    for (const cuts of [...PIECE, last]) {
      const head = filled(before, MAX_HEAD_BYTES);
      expect([cuts, parse("GET", `${head}\r\n\r\n`, cuts)]).toMatchObject([cuts, { trailers: [], fault: undefined }]);
      const more = parse("GET", `${head}a\r\n\r\n`, cuts);
      expect([cuts, more]).toMatchObject([cuts, { head: undefined, fault: "the answer's head is over 1 MiB" }]);
    }
  });

  it("of a head holds while it is not complete", () => {
    const endless = `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(180_000)}`;
    for (const cuts of PIECE) expect(parse("GET", endless, cuts).fault).toBe("the answer's head is over 1 MiB");
  });

  it("of a head is each head's own: a 1xx takes nothing from it", () => {
    const hints = `${filled("HTTP/1.1 103 x\r\n", MAX_HEAD_BYTES)}\r\n\r\n`;
    const parsed = parse("GET", `${hints}${hints}${counted("1", "a").bytes}`, [65_536]);
    expect(parsed).toMatchObject({ informational: [{ status: 103 }, { status: 103 }], body: "a", trailers: [] });
  });

  it("of trailers is 1 MiB, however they are cut", () => {
    const start = `${CHUNKED}0\r\n`;
    const cuts: Cuts = [start.length + MAX_HEAD_BYTES - 6, ...Array.from({ length: 40 }, () => 1)];
    for (const each of [...PIECE, cuts]) {
      const trailers = filled("A: b\r\n", MAX_HEAD_BYTES);
      expect(parse("GET", `${start}${trailers}\r\n\r\n`, each)).toMatchObject({
        trailers: ["A", "b", "X", expect.anything()],
      });
      const more = parse("GET", `${start}${trailers}a\r\n\r\n`, each);
      expect([each, more]).toMatchObject([each, { trailers: undefined, fault: "the trailers are over 1 MiB" }]);
    }
    expect(parse("GET", start + "X: y\r\n".repeat(180_000), [65_536]).fault).toBe("the trailers are over 1 MiB");
  });

  it("of a chunk's line is 4,096 bytes, however it is cut", () => {
    const line = (bytes: number): string => `1;${"x".repeat(bytes - 2)}`;
    for (const cuts of [...CUTS, [CHUNKED.length + 4_090, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]]) {
      const good = parse("GET", `${CHUNKED}${line(4_096)}\r\na\r\n0\r\n\r\n`, cuts);
      expect([cuts, good.fault, good.body]).toEqual([cuts, undefined, "a"]);
      for (const bytes of [4_097, 4_098, 5_000, 20_000]) {
        const bad = parse("GET", `${CHUNKED}${line(bytes)}\r\na\r\n0\r\n\r\n`, cuts);
        expect([cuts, bytes, bad.fault, bad.body]).toEqual([cuts, bytes, "a chunk's size cannot be read", ""]);
      }
    }
  });

  it("of a chunk's line holds while it is not complete", () => {
    expect(parse("GET", `${CHUNKED}1;${"x".repeat(4_200)}`).fault).toBe("a chunk's size cannot be read");
    expect(parse("GET", `${CHUNKED}${"0".repeat(4_200)}`, "each byte").fault).toBe("a chunk's size cannot be read");
  });

  it.each([
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n"],
    ["a chunk", `${CHUNKED}ffffffffffff\r\n`],
  ])("is none for %s: nothing is kept of it", (_what, start) => {
    const parsed = parse("GET", start + "a".repeat(100_000), [5_000]);
    expect(parsed).toMatchObject({ trailers: undefined, fault: undefined });
    expect(parsed.body).toHaveLength(100_000);
    expect(parse("GET", start + "a".repeat(100_000), [5_000], true).fault).toBe("closed within the answer");
  });
});
