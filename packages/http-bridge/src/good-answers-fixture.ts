import { type Cuts, type Parsed, parse } from "./answer-fixture.ts";

/** An answer that is good, and what it says. */
export interface Good {
  what: string;
  bytes: string;
  method?: string;
  /** Expected, as far as it is not 200, "OK", nothing and kept. */
  status?: number;
  reason?: string;
  headers?: string[];
  body?: string;
  trailers?: string[];
  keepAlive?: boolean;
  /** The statuses of the 1xx before it. */
  before?: number[];
  /** Its end is the connection's end. */
  untilClose?: boolean;
}

/** The head of a chunked answer. */
export const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const chunked = (rest: string) => ({ bytes: CHUNKED + rest, headers: ["Transfer-Encoding", "chunked"] });
/** An answer of a length. */
export const counted = (length: string, body = "") => ({
  bytes: `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${body}`,
  headers: ["Content-Length", length],
  body,
});
const headed = (...lines: string[]) => ({
  bytes: ["HTTP/1.1 200 OK", ...lines, "Content-Length: 0", "", ""].join("\r\n"),
});
const length0 = ["Content-Length", "0"];

/** Answers of every form. */
export const GOOD: Good[] = [
  { what: "of a length", ...counted("5", "hello") },
  { what: "of no byte", ...counted("0") },
  { what: "of no byte, said with two zeros", ...counted("00") },
  { what: "of a length with zeros before it", ...counted("0005", "hello") },
  { what: "of a length of fifteen digits", ...counted("000000000000003", "abc") },
  { what: "whose body looks like an answer", ...counted("19", "HTTP/1.1 200 OK\r\n\r\n") },
  { what: "in one chunk", ...chunked("5\r\nhello\r\n0\r\n\r\n"), body: "hello" },
  { what: "in chunks", ...chunked("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), body: "abcdef" },
  { what: "of no chunk", ...chunked("0\r\n\r\n") },
  {
    what: "whose chunk looks like a border",
    ...chunked("9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n"),
    body: "\r\n0\r\n\r\n\r\n",
  },
  { what: "with a size in upper case", ...chunked("A\r\n0123456789\r\n0\r\n\r\n"), body: "0123456789" },
  { what: "with a size in lower case", ...chunked("a\r\n0123456789\r\n0\r\n\r\n"), body: "0123456789" },
  { what: "with zeros before a size", ...chunked("000000000005\r\nhello\r\n000000000000\r\n\r\n"), body: "hello" },
  { what: "with an extension", ...chunked('5;a=b;c="d e"\r\nhello\r\n0;z\r\n\r\n'), body: "hello" },
  {
    what: "with trailers",
    ...chunked("1\r\na\r\n0\r\nA: b\r\nX-Y:\t c \r\n\r\n"),
    body: "a",
    trailers: ["A", "b", "X-Y", "c"],
  },
  {
    what: "whose coding is written otherwise",
    bytes: "HTTP/1.1 200 OK\r\ntransfer-ENCODING:\tChunked \r\n\r\n1\r\na\r\n0\r\n\r\n",
    headers: ["transfer-ENCODING", "Chunked"],
    body: "a",
  },
  {
    what: "until the connection's end",
    bytes: "HTTP/1.1 200 OK\r\n\r\nall of it",
    body: "all of it",
    untilClose: true,
  },
  { what: "until the connection's end, of no byte", bytes: "HTTP/1.1 200 OK\r\n\r\n", untilClose: true },
  {
    what: "to HEAD",
    method: "HEAD",
    bytes: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    headers: ["Content-Length", "10"],
  },
  { what: "to HEAD, chunked", method: "HEAD", ...chunked("") },
  { what: "to HEAD, without a length", method: "HEAD", bytes: "HTTP/1.1 200 OK\r\n\r\n" },
  { what: "204", bytes: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, reason: "No Content" },
  {
    what: "304 with the length that there would be",
    bytes: "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
    status: 304,
    reason: "Not Modified",
    headers: ["Content-Length", "10"],
  },
  {
    what: "of HTTP/1.0",
    bytes: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
    headers: ["Content-Length", "1"],
    body: "a",
    keepAlive: false,
  },
  {
    what: "of HTTP/1.0 that would be kept",
    bytes: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    headers: ["Connection", "keep-alive", ...length0],
    keepAlive: false,
  },
  {
    what: "of HTTP/1.0 until the connection's end",
    bytes: "HTTP/1.0 200 OK\r\n\r\nabc",
    body: "abc",
    untilClose: true,
  },
  ...["close", "Close", "keep-alive, close", "close,x", "x ,\tclose , y"].map((value) => ({
    what: `with Connection: ${JSON.stringify(value)}`,
    ...headed(`Connection: ${value}`),
    headers: ["Connection", value, ...length0],
    keepAlive: false,
  })),
  ...["keep-alive", "closed", "x-close", "enclose, x", "not close", ""].map((value) => ({
    what: `with Connection: ${JSON.stringify(value)}`,
    ...headed(`Connection: ${value}`),
    headers: ["Connection", value, ...length0],
  })),
  {
    what: "with two Connection headers, the second of which closes",
    ...headed("connection: x", "CONNECTION: close"),
    headers: ["connection", "x", "CONNECTION", "close", ...length0],
    keepAlive: false,
  },
  {
    what: "with a header that only looks like close",
    ...headed("X-Connection: close", "Proxy-Connection: close", "Keep-Alive: close"),
    headers: ["X-Connection", "close", "Proxy-Connection", "close", "Keep-Alive", "close", ...length0],
  },
  {
    what: "with bytes above 0x7f",
    ...headed("X: \xe9\x80\xff", "Y: \xa0no-break\xa0", "Z: \xa0"),
    headers: ["X", "\xe9\x80\xff", "Y", "\xa0no-break\xa0", "Z", "\xa0", ...length0],
  },
  { what: "with UTF-8 in a body", ...counted("4", Buffer.from("é…").toString("latin1").slice(0, 4)) },
  {
    what: "with a reason beyond ASCII",
    bytes: "HTTP/1.1 404 N\xe9ant\r\nContent-Length: 0\r\n\r\n",
    status: 404,
    reason: "N\xe9ant",
    headers: length0,
  },
  { what: "with an empty reason", bytes: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", reason: "", headers: length0 },
  { what: "with no reason", bytes: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", reason: "", headers: length0 },
  {
    what: "with a reason of words and a tab",
    bytes: "HTTP/1.1 500 a  b\tc\r\nContent-Length: 0\r\n\r\n",
    status: 500,
    reason: "a  b\tc",
    headers: length0,
  },
  {
    what: "of a status nobody knows",
    bytes: "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n",
    status: 999,
    reason: "x",
    headers: length0,
  },
  {
    what: "with blanks around values, and none",
    ...headed("A:b", "C: \t d\t ", "E:", "F:   ", "G: h i\tj"),
    headers: ["A", "b", "C", "d", "E", "", "F", "", "G", "h i\tj", ...length0],
  },
  { what: "with a colon in a value", ...headed("A: b:c::"), headers: ["A", "b:c::", ...length0] },
  {
    what: "with every character of a name",
    ...headed("!#$%&'*+-.^_`|~09azAZ: x", "__proto__: y"),
    headers: ["!#$%&'*+-.^_`|~09azAZ", "x", "__proto__", "y", ...length0],
  },
  {
    what: "with a header twice",
    ...headed("Warning: a", "Warning: b"),
    headers: ["Warning", "a", "Warning", "b", ...length0],
  },
  {
    what: "behind a 103",
    bytes: `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${counted("1", "a").bytes}`,
    before: [103],
    headers: ["Content-Length", "1"],
    body: "a",
  },
  {
    what: "behind three 1xx, of which one names a length",
    bytes: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 x\r\nContent-Length: 9\r\n\r\n${CHUNKED}0\r\n\r\n`,
    before: [100, 102, 199],
    headers: ["Transfer-Encoding", "chunked"],
  },
];

/** A peer that closes only where that is the answer's end. */
export const read = ({ method = "GET", bytes, untilClose = false }: Good, cuts?: Cuts): Parsed =>
  parse(method, bytes, cuts, untilClose);

/** Each answer is read by all of these. */
export const CUTS: Cuts[] = ["whole", "each byte", [2], [3, 1], [7], [16, 5]];
