import { fc, fuzz } from "@fairlead/fuzzing";
import { ErrorCode, FairleadError, type Header } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { CONTROL, TOKEN } from "./header-lines.ts";
import { asPairs, header, requestText, toFrameHeaders, toRawHeaders } from "./headers.ts";
import { readSubprotocols } from "./subprotocols.ts";

const HOP_BY_HOP = [
  "Connection",
  "Keep-Alive",
  "Proxy-Authenticate",
  "Proxy-Authorization",
  "Proxy-Connection",
  "TE",
  "Trailer",
  "Transfer-Encoding",
  "Upgrade",
  "HTTP2-Settings",
];
const OTHERS = ["Accept", "X-One", "X-Two", "Host", "Authorization", "Content-Length"];

const byte = fc.nat({ max: 255 }).map((code) => String.fromCharCode(code));
const known = fc.mixedCase(fc.constantFrom(...HOP_BY_HOP, ...OTHERS));
const names = fc.oneof(
  { weight: 8, arbitrary: known },
  { weight: 1, arbitrary: fc.tuple(known, byte).map(([name, odd]) => name + odd) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 5 }) },
);
const values = fc.oneof(
  { weight: 6, arbitrary: fc.stringMatching(/^[ -~]{0,12}$/) },
  { weight: 3, arbitrary: fc.array(known, { maxLength: 3 }).map((list) => list.join(" ,")) },
  { weight: 1, arbitrary: fc.string({ unit: byte, maxLength: 5 }) },
  { weight: 1, arbitrary: fc.constantFrom("a\r\nX-Two: b", "a\nb", "a\rb", "a\0b", "\u00a0") },
);
/** A `Connection` that names headers which are likely to be beside it. */
const connection = fc.tuple(
  fc.mixedCase(fc.constant("Connection")),
  fc.array(fc.mixedCase(fc.constantFrom(...OTHERS)), { maxLength: 3 }).map((list) => list.join(" ,")),
);
const line = fc.oneof({ weight: 5, arbitrary: fc.tuple(names, values) }, { weight: 1, arbitrary: connection });
const lists = fc.array(line, { maxLength: 6 });

/** What a header list gives, or undefined if it is refused as it must be. */
function taken<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof FairleadError && error.code === ErrorCode.PROTOCOL_VIOLATION) return undefined;
    throw error;
  }
}

/** The names that may not go on: those of one connection, and what `Connection` names, in lower case. */
function droppedOf(pairs: readonly [string, string][]): Set<string> {
  const connection = pairs.filter(([name]) => name.toLowerCase() === "connection");
  const named = connection.flatMap(([, value]) => value.split(",").map((name) => name.trim()));
  return new Set([...HOP_BY_HOP, ...named].map((name) => name.toLowerCase()));
}

describe("any list of headers", () => {
  const frameHeaders = (pairs: readonly [string, string][]): Header[] =>
    pairs.map(([name, value]) => header(name, value));

  it("goes out of a frame without what belongs to a connection, in order, each on one line, or is refused", async () => {
    const seen = { taken: 0, refused: 0 };
    const property = fc.property(lists, (pairs) => {
      const raw = taken(() => toRawHeaders(frameHeaders(pairs)));
      const dropped = droppedOf(pairs);
      const due = pairs.filter(([name]) => !dropped.has(name.toLowerCase()));
      const isLines = due.every(([name, value]) => TOKEN.test(name) && !CONTROL.test(value));
      expect(raw && asPairs(raw)).toEqual(isLines ? due : undefined);
      if (raw) seen.taken++;
      else seen.refused++;
    });
    await fuzz(2_000, property);
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(200);
  });

  it("is written as a request of one line for each header and no line more, or is refused", async () => {
    const property = fc.property(lists, (pairs) => {
      const text = taken(() => requestText("GET", "/", pairs.flat()));
      if (text === undefined) return;
      const [, ...lines] = text.split(/\r\n|\r|\n/);
      expect(lines).toEqual([...pairs.map(([name, value]) => `${name}: ${value}`), "", ""]);
    });
    await fuzz(2_000, property);
  });

  it("goes into a frame and out of it as it goes out alone: what one end lets through, the other does", async () => {
    const property = fc.property(lists, (pairs) => {
      const through = taken(() => toRawHeaders(toFrameHeaders(pairs.flat())));
      expect(through).toEqual(taken(() => toRawHeaders(frameHeaders(pairs))));
    });
    await fuzz(2_000, property);
  });
});

describe("any lines of subprotocols", () => {
  const protocol = fc.oneof(
    fc.constantFrom("v5.channel.k8s.io", "", " ", "a b", "x\r\ny", "x\0"),
    fc.string({ unit: byte, maxLength: 6 }).map((text) => `base64url.bearer.authorization.k8s.io.${text}`),
  );
  const lines = fc.array(
    fc.array(protocol, { maxLength: 3 }).map((all) => all.join(", ")),
    { maxLength: 3 },
  );

  it("are protocols without a bearer's among them, each fit for a header, or are refused", async () => {
    const property = fc.property(lines, (all) => {
      const read = taken(() => readSubprotocols(all));
      for (const each of read?.protocols ?? []) {
        expect(each).not.toMatch(/bearer\.authorization/);
        expect(CONTROL.test(each)).toBe(false);
      }
    });
    await fuzz(2_000, property);
  });
});
