import { ErrorCode } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { header, headerValues, headText, toFrameHeaders, toRawHeaders } from "./headers.ts";

/** Raw headers from "Name: value" lines. */
const raw = (...lines: string[]): string[] => lines.flatMap((line) => /^([^:]*): ?(.*)$/s.exec(line)?.slice(1) ?? []);
const lines = (headers: readonly string[]): string[] =>
  headers.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${headers[i + 1]}`] : []));

const CASES: [what: string, given: string[], kept: string[]][] = [
  ["nothing", [], []],
  [
    "ordinary headers in their order and case",
    ["X-b: 1", "x-A: 2", "ACCEPT: */*"],
    ["X-b: 1", "x-A: 2", "ACCEPT: */*"],
  ],
  [
    "repeats, each as its own line",
    ['Warning: 299 - "a, b"', "Vary: x", 'warning: 299 - "c"', "Warning: 299 -"],
    ['Warning: 299 - "a, b"', "Vary: x", 'warning: 299 - "c"', "Warning: 299 -"],
  ],
  ["empty values", ["X-Empty: ", "X: y"], ["X-Empty: ", "X: y"]],
  ["bytes above 0x7f", ["X-8: \x80\xe9\xff"], ["X-8: \x80\xe9\xff"]],
  [
    "no hop-by-hop header, in whatever case",
    [
      "connection: close",
      "KEEP-ALIVE: timeout=5",
      "Proxy-Authenticate: x",
      "proxy-authorization: Basic x",
      "Proxy-Connection: keep-alive",
      "TE: trailers",
      "trailer: X-Sum",
      "Transfer-ENCODING: chunked",
      "Upgrade: websocket",
      "HTTP2-Settings: AAMAAABkAAQAAP__",
      "Accept: a",
    ],
    ["Accept: a"],
  ],
  [
    "none that Connection names, in whatever case and in several lines",
    ["X-One: 1", "Connection: keep-alive, X-one ,x-TWO", "x-two: 2", "CONNECTION: X-Three", "X-Three: 3", "X-Four: 4"],
    ["X-Four: 4"],
  ],
  ["a header that Connection names by a part only", ["Connection: X", "X-Y: 1", "XX: 2"], ["X-Y: 1", "XX: 2"]],
  [
    "Content-Encoding and Vary, untouched",
    ["Content-Encoding: gzip", "Vary: Accept"],
    ["Content-Encoding: gzip", "Vary: Accept"],
  ],
];

describe("headers on their way into a frame", () => {
  it.each(CASES)("keep %s", (_what, given, kept) => {
    const headers = toFrameHeaders(raw(...given));
    expect(lines(headers.flatMap(({ name, value }) => [name, Buffer.from(value).toString("latin1")]))).toEqual(kept);
  });

  it("leave out what the caller names", () => {
    const headers = toFrameHeaders(raw("Host: a", "HOST: b", "X: y"), new Set(["host"]));
    expect(headers.map(({ name }) => name)).toEqual(["X"]);
  });

  it("carry one byte for each character of node's", () => {
    const [only] = toFrameHeaders(["X", String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i))]);
    expect(Buffer.from(only?.value ?? [])).toEqual(Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
  });
});

describe("headers on their way out of a frame", () => {
  it.each(CASES)("keep %s, even if the peer had not removed the others", (_what, given, kept) => {
    const pairs = raw(...given);
    const headers = pairs.flatMap((name, i) => (i % 2 === 0 ? [header(name, pairs[i + 1] ?? "")] : []));
    expect(lines(toRawHeaders(headers))).toEqual(kept);
  });

  it("leave out what the caller says, asked by the name in lower case", () => {
    const asked: string[] = [];
    const drops = (name: string): boolean => {
      asked.push(name);
      return name.startsWith("impersonate-");
    };
    const headers = [header("Impersonate-User", "a"), header("X-Y", "b"), header("IMPERSONATE-Extra-z", "c")];
    expect(toRawHeaders(headers, drops)).toEqual(["X-Y", "b"]);
    expect(asked).toEqual(["impersonate-user", "x-y", "impersonate-extra-z"]);
  });
});

/** Headers that are not one line, as no HTTP parser gives them. */
const NO_LINES = [
  ["X", "a\r\nImpersonate-User: b"],
  ["X", "a\nb"],
  ["X", "a\rb"],
  ["X", "a\0b"],
  ["X", "a\x7f"],
  ["X\r\nY", "a"],
  ["X: Y", "a"],
  ["X Y", "a"],
  ["X\n", "a"],
  ["", "a"],
  ["X\xe9", "a"],
] as const;
const violation = expect.objectContaining({ code: ErrorCode.PROTOCOL_VIOLATION });

describe("a header in a frame that is not one line of HTTP", () => {
  it.each(NO_LINES)("is refused on its way out: %j: %j", (name, value) => {
    expect(() => toRawHeaders([header("Accept", "a"), header(name, value)])).toThrow(violation);
  });

  it("is not one of tabs, blanks and bytes above 0x7f", () => {
    const odd = ["X-a_b.c!", "a\tb c", "x", "", "X", "\x80\xff", "~", " "];
    expect(
      toRawHeaders([header("X-a_b.c!", "a\tb c"), header("x", ""), header("X", "\x80\xff"), header("~", " ")]),
    ).toEqual(odd);
  });
});

describe("a head that is written straight onto a connection", () => {
  it("is a status line, a line for each header, and an empty one", () => {
    expect(headText(103, "Early Hints", ["Link", "</a>", "Link", "</b>"])).toBe(
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n",
    );
    expect(headText(101, "", [])).toBe("HTTP/1.1 101 \r\n\r\n");
  });

  it.each(NO_LINES)("is refused for the header %j: %j", (name, value) => {
    expect(() => headText(103, "", ["Link", "x", name, value])).toThrow(violation);
  });

  it("is refused for a reason of two lines", () => {
    expect(() => headText(103, "OK\r\nX: y", [])).toThrow(violation);
  });
});

describe("the values of a header", () => {
  it("are found in whatever case and in their order", () => {
    const headers = [header("Accept", "a"), header("X", "no"), header("ACCEPT", "b"), header("accept", "\xe9")];
    expect(headerValues(headers, "accept")).toEqual(["a", "b", "\xe9"]);
    expect(headerValues(headers, "nosuch")).toEqual([]);
  });
});
