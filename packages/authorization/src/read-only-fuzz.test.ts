import { fc, fuzz, mutatedText } from "@fairlead/fuzzing";
import { ErrorCode, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { inWords, isReadOnly, isWatch } from "./read-only.ts";
import { requestInfoOf } from "./request-info.ts";
import { checkScope, narrowed } from "./scope.ts";

/** As the http-bridge lets targets through: printable, without a blank or a backslash. */
const ORIGIN_FORM = /^\/[\x21-\x5b\x5d-\x7e]*$/;
const METHODS = ["GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const UPGRADES = ["", "", "", "websocket", "SPDY/3.1"];
const ACTING = ["exec", "attach", "portforward", "proxy"];
const OTHERS = ["log", "status", "scale", "eviction"];

const starts = fc.constantFrom("/api/v1", "/apis/apps/v1", "/api/v1/watch", "/api/v1/proxy");
const places = fc.constantFrom(
  "/namespaces/ns/pods/p",
  "/nodes/n",
  "/namespaces/ns/services/s:80",
  "/pods/exec",
  "/pods/p",
);
const rests = fc.constantFrom("", "/", "/metrics", "/exec/ns/p/c");
const queries = fc.constantFrom("", "?command=sh", "?watch=true");
/** What one reader drops, decodes or cuts at, and another does not. */
const PIECES = [
  "/",
  "//",
  "/./",
  "/..",
  "/x/..",
  "%2f",
  "%2F",
  "/%2e%2e",
  "%2e",
  ";",
  ";x",
  "#",
  "\\",
  "%5c",
  "%00",
  "?",
  "%3f",
  "%23",
  "%25",
  "%ff",
  "%",
  "\t",
  "%65",
  "%2565",
  "P",
  "a".repeat(120),
];

/** A subresource, now and then in another case, or with something about it that readers disagree on. */
const piece = fc.oneof({ weight: 3, arbitrary: fc.constant("") }, { weight: 1, arbitrary: fc.constantFrom(...PIECES) });
const word = fc.constantFrom(...ACTING, ...OTHERS);
const subresource = fc.tuple(
  piece,
  fc.oneof({ weight: 4, arbitrary: word }, { weight: 1, arbitrary: fc.mixedCase(word) }),
  piece,
);
const targets = fc
  .tuple(starts, places, subresource, rests, queries)
  .map(([start, place, sub, rest, query]) => `${start}${place}/${sub.join("")}${rest}${query}`);
const requests = fc.record({
  method: fc.constantFrom(...METHODS),
  target: fc.oneof(
    { weight: 4, arbitrary: mutatedText(targets, PIECES) },
    { weight: 3, arbitrary: targets },
    { weight: 1, arbitrary: targets.map(escaped) },
    { weight: 1, arbitrary: mutatedText(targets.map(escaped), PIECES) },
    { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  ),
  upgrade: fc.constantFrom(...UPGRADES),
});

/** Some letters of the path written as escapes, some of them twice, told by the text itself so that it is the same each time. */
function escaped(target: string): string {
  const [path = "", query] = target.split("?");
  const written = path.replace(/[a-z]/g, (letter, at: number) => {
    const code = letter.charCodeAt(0).toString(16);
    return [letter, letter, `%${code}`, `%${code.toUpperCase()}`, `%25${code}`][(at * 7 + path.length) % 5] ?? letter;
  });
  return query === undefined ? written : `${written}?${query}`;
}

describe("whatever is done to a target", () => {
  it("it is never reading where any reader could take it for an exec, an attach, a forward or a proxy", async () => {
    const seen = { acting: 0, reading: 0 };
    const property = fc.property(requests, (request) => {
      const isActing = readingsOf(request.target).some(acts);
      const isReading = isReadOnly(request);
      expect([isActing, isReading]).not.toEqual([true, true]);
      if (isActing) seen.acting++;
      if (isReading) seen.reading++;
    });
    await fuzz(6_000, property);
    expect(Math.min(seen.acting, seen.reading)).toBeGreaterThan(50);
  });

  it("it is reading only by the method of reading or as a review of oneself, and a watch only by GET", async () => {
    const property = fc.property(requests, (request) => {
      if (isReadOnly(request)) expect(["GET", "HEAD"]).toContain(request.method);
      if (isWatch(request)) expect(request.method).toBe("GET");
      expect(inWords(request).length).toBeLessThanOrEqual(100);
    });
    await fuzz(1_500, property);
  });

  it("it is read as the URL standard reads it, and decoding once more changes nothing, or it is not read", async () => {
    let read = 0;
    const property = fc.property(requests, ({ method, target }) => {
      const info = requestInfoOf({ method, target, upgrade: "" });
      if (info === undefined || !ORIGIN_FORM.test(target)) return;
      const [path = "", ...query] = target.split("?");
      const decoded = decodeURIComponent(path);
      expect(decodeURIComponent(new URL(`https://cluster.example${target}`).pathname)).toBe(decoded);
      expect(requestInfoOf({ method, target: [decoded, ...query].join("?"), upgrade: "" })).toEqual(info);
      read++;
    });
    await fuzz(1_500, property);
    expect(read).toBeGreaterThan(50);
  });
});

describe("any scope", () => {
  const scopes = fc.record({
    readOnly: fc.boolean(),
    groups: fc.option(fc.array(fc.constantFrom<string[]>("dev", "ops", "", "system:masters")), { nil: undefined }),
  });

  it("lets through what reads, and refuses all else by one code where it is for reading", async () => {
    const property = fc.property(requests, scopes, (request, { readOnly }) => {
      const head = { ...request, scope: { readOnly } } as RequestHead;
      expect(refusalOf(head)?.code).toBe(readOnly && !isReadOnly(request) ? ErrorCode.ACCESS_DENIED : undefined);
    });
    await fuzz(1_000, property);
  });

  it("leaves a caller groups of the caller's own and of the scope's alone", async () => {
    const callers = fc.record({ groups: fc.array(fc.constantFrom("dev", "ops", "admins")) });
    const property = fc.property(callers, scopes, (caller, { readOnly, groups }) => {
      const scope = { $typeName: "fairlead.tunnel.v1alpha1.Scope", readOnly } as const;
      const limit = groups && ({ $typeName: "fairlead.tunnel.v1alpha1.GroupLimit", names: groups } as const);
      const left = narrowed(caller, limit ? { ...scope, groups: limit } : scope).groups;
      expect(left).toEqual(caller.groups.filter((group) => groups === undefined || groups.includes(group)));
    });
    await fuzz(500, property);
  });
});

/** Why a head is refused. @throws whatever is no error of ours */
function refusalOf(head: RequestHead): FairleadError | undefined {
  try {
    checkScope(head, Hop.RELAY);
    return undefined;
  } catch (error) {
    if (error instanceof FairleadError) return error;
    throw error;
  }
}

/**
 * Every path that some reader could see in a target: each of these does one thing that readers do, and any number of
 * them may read one after the other.
 */
const READERS: ((path: string) => string)[] = [
  (path) => path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  (path) => path.replace(/\/+/g, "/"),
  (path) => path.replaceAll("\\", "/"),
  (path) => path.replace(/\/\.(?=\/|$)/g, ""),
  (path) => path.replace(/\/(?!\.\.?(?:\/|$))[^/]+\/\.\.(?=\/|$)/, ""),
  (path) => path.replace(/[?#].*$/s, ""),
  (path) => path.replace(/\0.*$/s, ""),
  (path) => path.replace(/;[^/]*/g, ""),
  (path) => path.replace(/[\t\r\n]/g, ""),
];

function readingsOf(target: string): string[] {
  const [path = ""] = target.split("?", 1);
  const readings = new Set([path]);
  for (const reading of readings) {
    if (readings.size > 200) break;
    for (const read of READERS) readings.add(read(reading));
  }
  return [...readings];
}

/**
 * A path with an acting subresource, or the deprecated verb `proxy` before its resource. The case counts in what comes
 * before, as it does for the apiserver; the subresource is one in any case, since a server behind it may see it so.
 */
const ACTING_PATH =
  /^\/api(?:s\/[^/]+)?\/[^/]+\/(?:proxy\/.|(?:watch\/|(?!watch\/))(?:namespaces\/[^/]+\/|(?!namespaces\/))[^/]+\/[^/]+\/(?:[eE][xX][eE][cC]|[aA][tT]{2}[aA][cC][hH]|[pP][oO][rR][tT][fF][oO][rR][wW][aA][rR][dD]|[pP][rR][oO][xX][yY])(?:\/|$))/;

function acts(path: string): boolean {
  return ACTING_PATH.test(path);
}
