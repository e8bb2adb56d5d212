import { create } from "@bufbuild/protobuf";
import { type Header, HeaderSchema } from "@fairlead/protocol";

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
  const named = connectionNamed(raw);
  const headers: Header[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? "";
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || drops.has(lower) || named.has(lower)) continue;
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
 */
export function toRawHeaders(headers: readonly Header[], drops: (name: string) => boolean = () => false): string[] {
  const raw = headers.flatMap(({ name, value }) => [name, Buffer.from(value).toString("latin1")]);
  const named = connectionNamed(raw);
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const lower = (raw[i] ?? "").toLowerCase();
    if (HOP_BY_HOP.has(lower) || named.has(lower) || drops(lower)) continue;
    kept.push(raw[i] ?? "", raw[i + 1] ?? "");
  }
  return kept;
}

/** All values of a header, by its name in lower case. */
export function headerValues(headers: readonly Header[], name: string): string[] {
  return headers
    .filter((header) => header.name.toLowerCase() === name)
    .map(({ value }) => Buffer.from(value).toString("latin1"));
}

function connectionNamed(raw: readonly string[]): ReadonlySet<string> {
  let named: Set<string> | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if ((raw[i] ?? "").toLowerCase() !== "connection") continue;
    named ??= new Set();
    for (const token of (raw[i + 1] ?? "").split(",")) named.add(token.trim().toLowerCase());
  }
  return named ?? NONE;
}

const NONE: ReadonlySet<string> = new Set();
