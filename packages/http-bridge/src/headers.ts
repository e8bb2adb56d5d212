import { create } from "@bufbuild/protobuf";
import { ErrorCode, FairleadError, type Header, HeaderSchema, Hop } from "@fairlead/protocol";
import { CONTROL, rawValues, TOKEN } from "./header-lines.ts";

/** Headers that belong to one connection and are never passed on (RFC 9110, 7.6.1). */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/**
 * Turns node's raw headers into frame headers: order, case and repeats kept, hop-by-hop headers removed, and those
 * that `Connection` names with them.
 *
 * @param raw names and values in turn, as `IncomingMessage.rawHeaders` has them
 * @param drops further names to leave out, in lower case
 */
export function toFrameHeaders(raw: readonly string[], drops: ReadonlySet<string> = new Set()): Header[] {
  const named = namesIn(rawValues(raw, "connection"));
  const headers: Header[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? "";
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || named.has(lower) || drops.has(lower)) continue;
    headers.push(header(name, raw[i + 1] ?? ""));
  }
  return headers;
}

/** One frame header. node has header values as latin1 text, one character a byte. */
export function header(name: string, value: string): Header {
  return create(HeaderSchema, { name, value: Buffer.from(value, "latin1") });
}

/**
 * Turns frame headers into node's raw form. Hop-by-hop headers are removed here too: the peer may not have done it.
 *
 * @param drops whether to leave out a header, by its name in lower case
 * @throws FairleadError PROTOCOL_VIOLATION if a header is not one line; no HTTP parser can have given it to the peer
 */
export function toRawHeaders(headers: readonly Header[], drops: (name: string) => boolean = () => false): string[] {
  const named = namesIn(headerValues(headers, "connection"));
  const kept: string[] = [];
  for (const { name, value } of headers) {
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || named.has(lower) || drops(lower)) continue;
    kept.push(name, latin1(value));
  }
  checkLines(kept);
  return kept;
}

/**
 * A head as it is written straight onto a connection: a 1xx, for which node has no way to set headers, or a 101.
 *
 * @param raw the headers in node's raw form
 * @throws FairleadError PROTOCOL_VIOLATION if a part is not one line
 */
export function headText(status: number, reason: string, raw: readonly string[]): string {
  checkLines(["Reason", reason, ...raw]);
  return `HTTP/1.1 ${status} ${reason}\r\n${headerLines(raw)}\r\n`;
}

/**
 * A request's line and headers as they are written onto a connection, one character a byte.
 *
 * @param raw the headers in node's raw form, those that frame the body with them
 * @throws FairleadError PROTOCOL_VIOLATION if a header is not one line
 */
export function requestText(method: string, target: string, raw: readonly string[]): string {
  checkLines(raw);
  return `${method} ${target} HTTP/1.1\r\n${headerLines(raw)}\r\n`;
}

/** Headers in node's raw form, which were checked before, as lines. */
export function headerLines(raw: readonly string[]): string {
  let text = "";
  for (let i = 0; i + 1 < raw.length; i += 2) text += `${raw[i]}: ${raw[i + 1]}\r\n`;
  return text;
}

/** Node's raw form as pairs of name and value. */
export function asPairs(raw: readonly string[]): [name: string, value: string][] {
  return raw.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, raw[i + 1] ?? ""]] : []));
}

/** All values of a header, by its name in lower case. */
export function headerValues(headers: readonly Header[], name: string): string[] {
  const values: string[] = [];
  for (const header of headers) {
    if (header.name.length === name.length && header.name.toLowerCase() === name) values.push(latin1(header.value));
  }
  return values;
}

/** @throws FairleadError PROTOCOL_VIOLATION if a name or value, in node's raw form, is not one line */
export function checkLines(raw: readonly string[]): void {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (TOKEN.test(raw[i] ?? "") && !CONTROL.test(raw[i + 1] ?? "")) continue;
    throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.UNSPECIFIED, "a header is not one line of HTTP");
  }
}

/** A header's value as node has it: one character a byte. */
function latin1(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1");
}

/** The names, in lower case, in the lines of a `Connection` header. */
function namesIn(lines: readonly string[]): ReadonlySet<string> {
  return new Set(lines.flatMap((line) => line.split(",").map((name) => name.trim().toLowerCase())));
}
