import { describe, expect, it } from "@jest/globals";
import { type AnswerHead, AnswerParser } from "./answer-parser.ts";

/** What a parser told, bodies joined. */
interface Told {
  informational: AnswerHead[];
  head: AnswerHead | undefined;
  body: string;
  trailers: string[] | undefined;
  ends: number;
}

function parserFor(method = "GET"): { parser: AnswerParser; told: Told } {
  const told: Told = { informational: [], head: undefined, body: "", trailers: undefined, ends: 0 };
  const parser = new AnswerParser(method, {
    informational: (head) => void told.informational.push(head),
    head: (head) => {
      if (told.head) throw new Error("a second head");
      told.head = head;
    },
    data: (bytes) => {
      if (told.ends > 0) throw new Error("data behind the end");
      told.body += bytes.toString("latin1");
    },
    end: (trailers) => {
      told.trailers = trailers;
      told.ends++;
    },
  });
  return { parser, told };
}

/** Reads an answer at once, and again cut at every byte: both tell the same. */
function read(answer: string, method = "GET"): { parser: AnswerParser; told: Told } {
  const bytes = Buffer.from(answer, "latin1");
  const whole = parserFor(method);
  whole.parser.read(bytes);
  const cut = parserFor(method);
  for (const byte of bytes) cut.parser.read(Buffer.of(byte));
  expect(cut.told).toEqual(whole.told);
  expect([cut.parser.over, cut.parser.keepAlive]).toEqual([whole.parser.over, whole.parser.keepAlive]);
  return whole;
}

const OK = "HTTP/1.1 200 OK\r\n";

describe("an answer", () => {
  it("of a length is its head, its body and an end", () => {
    const { parser, told } = read(`${OK}Content-Type: text/plain\r\nX-A:  b \t\r\ncontent-length: 5\r\n\r\nhello`);
    expect(told.head).toEqual({
      status: 200,
      reason: "OK",
      rawHeaders: ["Content-Type", "text/plain", "X-A", "b", "content-length", "5"],
    });
    expect([told.body, told.trailers, told.ends]).toEqual(["hello", [], 1]);
    expect([parser.over, parser.keepAlive]).toEqual([true, true]);
  });

  it.each([
    ["an empty reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", ""],
    ["no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ""],
    ["a reason of bytes above 0x7f", "HTTP/1.1 200 \xc3\xa9\r\nContent-Length: 0\r\n\r\n", "\xc3\xa9"],
  ])("may have %s", (_what, answer, reason) => {
    const { told } = read(answer);
    expect([told.head?.reason, told.ends]).toEqual([reason, 1]);
  });

  it("keeps the bytes of values, a no-break space at their ends too, and repeats in order", () => {
    const { told } = read(
      `${OK}A: \xa0x\xa0\r\nWarning: 299 - "a, b"\r\nWarning: two\r\nEmpty:\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(told.head?.rawHeaders).toEqual([
      ...["A", "\xa0x\xa0", "Warning", '299 - "a, b"', "Warning", "two", "Empty", "", "Content-Length", "0"],
    ]);
  });

  it.each([
    ["chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"],
    ["chunks of upper case, leading zeros and extensions", '00005;a=b;c="d"\r\nhello\r\n6 ;x\r\n world\r\n000\r\n\r\n'],
    ["one chunk a byte", `${[..."hello world"].map((c) => `1\r\n${c}\r\n`).join("")}0\r\n\r\n`],
  ])("comes in %s", (_what, chunks) => {
    const { parser, told } = read(`${OK}Transfer-Encoding: chunked\r\n\r\n${chunks}`);
    expect([told.body, told.trailers, told.ends, parser.keepAlive]).toEqual(["hello world", [], 1, true]);
  });

  it("may have trailers behind its chunks", () => {
    const { told } = read(`${OK}Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\nA: 1\r\nB: 2\r\n\r\n`);
    expect([told.body, told.trailers]).toEqual(["x", ["A", "1", "B", "2"]]);
  });

  it("may have any number of 1xx before it", () => {
    const { told } = read(
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n${OK}Content-Length: 1\r\n\r\ny`,
    );
    expect(told.informational.map(({ status, rawHeaders }) => [status, rawHeaders])).toEqual([
      [100, []],
      [103, ["Link", "x"]],
    ]);
    expect([told.head?.status, told.body]).toEqual([200, "y"]);
  });

  it.each([
    ["HEAD", `${OK}Content-Length: 500\r\n\r\n`],
    ["HEAD", `${OK}Transfer-Encoding: chunked\r\n\r\n`],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\n"],
    ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"],
  ])("to %s has no body where HTTP says so: %j", (method, answer) => {
    const { parser, told } = read(answer, method);
    expect([told.ends, told.body, parser.over, parser.keepAlive]).toEqual([1, "", true, true]);
  });

  it("without a length lasts until the connection ends, which is then not used again", () => {
    const { parser, told } = read(`${OK}\r\nall of it`);
    expect([parser.over, told.body]).toEqual([false, "all of it"]);
    parser.finish();
    expect([parser.over, parser.keepAlive, told.ends]).toEqual([true, false, 1]);
  });

  it("101 is a head, and all behind it bytes of the other protocol, to the connection's end", () => {
    const { parser, told } = read(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw\r\n\r\n\0HTTP/1.1 200 OK\r\n\r\n",
    );
    expect([told.head?.status, told.body]).toEqual([101, "raw\r\n\r\n\0HTTP/1.1 200 OK\r\n\r\n"]);
    parser.finish();
    expect([told.ends, parser.keepAlive]).toEqual([1, false]);
  });

  it.each([
    ["Connection: close", false],
    ["Connection: Close", false],
    ["Connection: foo, CLOSE", false],
    ["connection: keep-alive\r\nConnection: close", false],
    ["Connection: keep-alive", true],
    ["X-Connection: close", true],
  ])("with %j lets the connection be used again: %s", (header, again) => {
    expect(read(`${OK}${header}\r\nContent-Length: 0\r\n\r\n`).parser.keepAlive).toBe(again);
  });

  it("of HTTP/1.0 is taken, and its connection not used again", () => {
    expect(read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").parser.keepAlive).toBe(false);
  });
});

describe("what is no answer of HTTP/1.1 is a fault", () => {
  const REFUSED: [what: string, bytes: string][] = [
    ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["a zero byte", "\0"],
    ["another version", "HTTP/2.0 200 OK\r\n\r\n"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["a status below 100", "HTTP/1.1 099 No\r\n\r\n"],
    ["a control character in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n"],
    ["a header without a colon", `${OK}nothing\r\n\r\n`],
    ["a header without a name", `${OK}: x\r\n\r\n`],
    ["a blank before the colon", `${OK}Content-Length : 5\r\n\r\n`],
    ["a blank before the name", `${OK} Content-Length: 5\r\n\r\n`],
    ["a folded line", `${OK}A: b\r\n c\r\nContent-Length: 0\r\n\r\n`],
    ["a bare LF in a value", `${OK}A: b\nContent-Length: 5\r\n\r\n`],
    ["a bare CR in a value", `${OK}A: b\rc\r\n\r\n`],
    ["a zero byte in a value", `${OK}A: b\0\r\n\r\n`],
    ["two lengths", `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`],
    ["the same length twice", `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`],
    ["a list of lengths", `${OK}Content-Length: 1, 1\r\n\r\n`],
    ["a length and a coding", `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ["a length with a sign", `${OK}Content-Length: +1\r\n\r\n`],
    ["a negative length", `${OK}Content-Length: -1\r\n\r\n`],
    ["a length in hexadecimal", `${OK}Content-Length: 0x1\r\n\r\n`],
    ["a length beyond all numbers", `${OK}Content-Length: ${"9".repeat(16)}\r\n\r\n`],
    ["an empty length", `${OK}Content-Length:\r\n\r\n`],
    ["another coding", `${OK}Transfer-Encoding: gzip\r\n\r\n`],
    ["two codings", `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    ["chunked twice", `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ["a chunk without a size", `${OK}Transfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n`],
    ["a chunk's size that is no number", `${OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`],
    ["a negative chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n-1\r\n`],
    ["a chunk beyond all numbers", `${OK}Transfer-Encoding: chunked\r\n\r\n${"f".repeat(13)}\r\n`],
    ["a chunk that is longer than it said", `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n`],
    ["a chunk that ends with LF alone", `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n`],
    ["a trailer that is no header", `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nnothing\r\n\r\n`],
    ["bytes behind the answer", `${OK}Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`],
    ["bytes behind an answer to HEAD", `${OK}Content-Length: 0\r\n\r\nx`],
  ];

  it.each(REFUSED)("%s", (_what, bytes) => {
    expect(() => parserFor().parser.read(Buffer.from(bytes, "latin1"))).toThrow(Error);
    const { parser } = parserFor();
    expect(() => {
      for (const byte of Buffer.from(bytes, "latin1")) parser.read(Buffer.of(byte));
    }).toThrow(Error);
  });

  it.each([
    ["a head", `${OK}A: `, 1024 * 1024 + 10],
    ["trailers", `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nA: `, 1024 * 1024 + 10],
    ["the line of a chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n1;`, 4_100],
  ])("%s that does not end", (_what, beginning, bytes) => {
    const { parser } = parserFor();
    parser.read(Buffer.from(beginning));
    expect(() => {
      for (let sent = 0; sent < bytes; sent += 65_536) parser.read(Buffer.alloc(Math.min(65_536, bytes), "x"));
    }).toThrow(Error);
  });

  it.each([
    ["within the head", "HTTP/1.1 200 OK\r\nA"],
    ["within a body of a length", `${OK}Content-Length: 5\r\n\r\nhell`],
    ["within a chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhell`],
    ["before the last chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`],
    ["before the end of the trailers", `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n`],
  ])("an end %s: it is never taken for an answer", (_where, bytes) => {
    const { parser, told } = read(bytes);
    expect(() => parser.finish()).toThrow(/closed within the answer/);
    expect(told.ends).toBe(0);
  });

  it("a head of 1 MiB is one still", () => {
    const value = "x".repeat(1024 * 1024 - 200);
    const { parser, told } = parserFor();
    parser.read(Buffer.from(`${OK}A: ${value}\r\nContent-Length: 0\r\n\r\n`));
    expect([told.head?.rawHeaders[1]?.length, parser.over]).toEqual([value.length, true]);
  });
});
