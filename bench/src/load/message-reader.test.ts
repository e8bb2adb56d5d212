import { describe, expect, it } from "@jest/globals";
import { MessageReader } from "./message-reader.ts";

/** Feeds a text in pieces. @returns what was told, and whether the reader is between two messages at the end */
function read(kind: "request" | "response", text: string, pieceBytes: number): { told: string[]; isBetween: boolean } {
  const told: string[] = [];
  let bodyBytes = 0;
  const reader = new MessageReader(kind, {
    onHead: (head) => told.push(head.split("\r\n")[0] ?? ""),
    onBody: (bytes) => {
      bodyBytes += bytes;
    },
    onEnd: () => {
      told.push(`end after ${bodyBytes}`);
      bodyBytes = 0;
    },
  });
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.feed(bytes.subarray(at, at + pieceBytes));
  return { told, isBetween: reader.isBetween };
}

const fixed = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const chunked =
  "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123\r\n6789\r\n0\r\n\r\n";

describe.each([1, 2, 3, 7, 1_000])("a connection read in pieces of %d bytes", (pieceBytes) => {
  it.each<[what: string, kind: "request" | "response", text: string, told: string[]]>([
    ["a body of known length", "response", fixed, ["HTTP/1.1 200 OK", "end after 5"]],
    ["a body in chunks", "response", chunked, ["HTTP/1.1 201 Created", "end after 15"]],
    [
      "trailers",
      "response",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
      ["HTTP/1.1 200 OK", "end after 0"],
    ],
    ["no body at 204", "response", "HTTP/1.1 204 No Content\r\n\r\n", ["HTTP/1.1 204 No Content", "end after 0"]],
    [
      "a provisional answer before the real one",
      "response",
      `HTTP/1.1 100 Continue\r\n\r\n${fixed}`,
      ["HTTP/1.1 100 Continue", "HTTP/1.1 200 OK", "end after 5"],
    ],
    ["a request without a body", "request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ["GET / HTTP/1.1", "end after 0"]],
    [
      "two messages in a row",
      "response",
      chunked + fixed,
      ["HTTP/1.1 201 Created", "end after 15", "HTTP/1.1 200 OK", "end after 5"],
    ],
  ])("has %s", (_what, kind, text, told) => {
    expect(read(kind, text, pieceBytes)).toEqual({ told, isBetween: true });
  });

  it("is within a message until that is whole", () => {
    expect(read("response", fixed.slice(0, -1), pieceBytes)).toEqual({ told: ["HTTP/1.1 200 OK"], isBetween: false });
    expect(read("response", chunked.slice(0, -1), pieceBytes).isBetween).toBe(false);
  });
});

it("reads an answer of unknown length until the connection ends", () => {
  const { told, isBetween } = read("response", "HTTP/1.1 200 OK\r\n\r\nhello", 3);
  expect(told).toEqual(["HTTP/1.1 200 OK"]);
  expect(isBetween).toBe(false);
});
