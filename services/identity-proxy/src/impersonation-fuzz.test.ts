import type { Subject } from "@fairlead/authentication";
import { fc, fuzz } from "@fairlead/fuzzing";
import { ErrorCode, exchangeIdText, FairleadError, type Header } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { asksForImpersonation, callerToken, impersonatingHeaders, impersonationHeaders } from "./impersonation.ts";
import { requestedIdentity } from "./requested-identity.ts";
import { requestHead } from "./requester-fixture.ts";

const HOST = "k.example:6443";
const BEARER = "base64url.bearer.authorization.k8s.io.";
/** Names that are ours to say, that another authenticator would believe, or that belong to one connection. */
const RESERVED = [
  "Impersonate-User",
  "Impersonate-Group",
  "Impersonate-Uid",
  "Impersonate-Extra-scopes",
  "Impersonate-",
  "X-Remote-User",
  "X-Remote-Extra-a",
  "X-Forwarded-For",
  "X-Real-Ip",
  "Forwarded",
  "Fairlead-Timings",
  "Authorization",
  "Host",
  "Audit-ID",
  "DPoP",
  "Content-Length",
  "Connection",
  "Keep-Alive",
  "Proxy-Connection",
  "Transfer-Encoding",
  "TE",
  "Upgrade",
];
const IS_RESERVED =
  /^(?:impersonate-.*|x-remote-.*|x-forwarded-.*|fairlead-.*|x-real-ip|forwarded|authorization|host|audit-id|dpop|content-length|connection|keep-alive|proxy-(?:authenticate|authorization|connection)|transfer-encoding|te|upgrade)$/i;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~\w]+$/;

const byte = fc.nat({ max: 255 }).map((code) => String.fromCharCode(code));
const reserved = fc.mixedCase(fc.constantFrom(...RESERVED));
const plain = fc.constantFrom(
  "Accept",
  "X-One",
  "User-Agent",
  "Sec-WebSocket-Protocol",
  "sec-websocket-protocol",
  "X-Impersonate-User",
);
const lookalikes = fc.oneof(
  fc.tuple(reserved, byte).map((parts) => parts.join("")),
  fc.tuple(byte, reserved).map((parts) => parts.join("")),
  fc.constantFrom(
    "\u0130mpersonate-User",
    "Imper\u017fonate-User",
    "Impersonate_User",
    "X-Remote-\u212aey",
    "",
    "\ufeffHost",
  ),
);
const names = fc.oneof(
  { weight: 5, arbitrary: reserved },
  { weight: 8, arbitrary: plain },
  { weight: 1, arbitrary: lookalikes },
);
const subprotocols = fc.constantFrom(
  "v5.channel.k8s.io",
  "",
  `${BEARER}YQ`,
  `${BEARER}a\r\nb`,
  "x\r\nImpersonate-User: root",
);
const values = fc.oneof(
  { weight: 6, arbitrary: fc.stringMatching(/^[ -~]{0,10}$/) },
  { weight: 3, arbitrary: fc.array(fc.oneof(names, subprotocols), { maxLength: 3 }).map((list) => list.join(", ")) },
  {
    weight: 3,
    arbitrary: fc.constantFrom("Bearer theirs", "bearer  theirs ", "Basic theirs", "Bearer a, Bearer b", "Bearer a\tb"),
  },
  { weight: 1, arbitrary: fc.string({ unit: byte, maxLength: 6 }) },
);
const linesOf = (name: fc.Arbitrary<string>) =>
  fc.array(
    fc.tuple(name, values).map(
      ([of, value]): Header => ({
        $typeName: "fairlead.tunnel.v1alpha1.Header",
        name: of,
        value: Buffer.from(value, "latin1"),
      }),
    ),
    { maxLength: 6 },
  );
const lines = linesOf(names);
const asking = fc.mixedCase(
  fc.constantFrom("Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-a%2fb"),
);
const credentials = linesOf(
  fc.mixedCase(fc.constantFrom("Authorization", "Sec-WebSocket-Protocol", "X-One", "Accept")),
);

/** Names as a token can give them: any text without what is invisible, and without blanks at its ends. */
const text = fc
  .string({ unit: "binary", minLength: 1, maxLength: 12 })
  .filter((name) => !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(name) && name.trim() === name && name !== "");
const subjects: fc.Arbitrary<Subject> = fc.record({
  user: text,
  groups: fc.array(text, { maxLength: 4 }),
  uid: fc.option(text, { nil: undefined }),
  extra: fc.dictionary(
    fc.stringMatching(/^[a-z0-9][a-z0-9.~!$%&'()*+,;=:@/-]{0,12}$/).map((key) => `x${key}`),
    fc.array(text, { minLength: 1, maxLength: 2 }),
    { maxKeys: 3, noNullPrototype: true },
  ),
  expiresAtMs: fc.constant(0),
});

/** What a call gives, or the code of the error of ours that it throws. @throws whatever else it throws */
function outcome<T>(call: () => T): T | { code: ErrorCode } {
  try {
    return call();
  } catch (error) {
    if (error instanceof FairleadError) return { code: error.code };
    throw error;
  }
}

/** As Go's net/http writes a header's name: what is no character of one (RFC 9110, 5.6.2), and `%`, by its number. */
const percentEncoded = (key: string): string =>
  key.replace(/[%(),/:;=@]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
const utf8 = (latin1: string): string => Buffer.from(latin1, "latin1").toString();

describe("whatever headers a caller sends", () => {
  it("the apiserver gets ours, each once, none of the caller's that is reserved, and no line that we did not write", async () => {
    const seen = { sent: 0, refused: 0 };
    const property = fc.property(
      lines,
      subjects,
      fc.option(fc.constant("own"), { nil: undefined }),
      (headers, subject, token) => {
        const head = requestHead({ headers });
        const raw = outcome(() => impersonatingHeaders(head, subject, HOST, token));
        if (!Array.isArray(raw)) {
          expect(raw.code).toBe(ErrorCode.PROTOCOL_VIOLATION);
          seen.refused++;
          return;
        }
        const pairs = raw.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, raw[i + 1] ?? ""]] : []));
        for (const [name, value] of pairs) {
          expect(name).toMatch(HEADER_NAME);
          expect(value).toMatch(/^[\t\x20-\x7e\x80-\xff]*$/);
        }
        // Whatever is reserved is ours, and all of ours is there.
        const ours = pairs
          .filter(([name]) => IS_RESERVED.test(name))
          .map(([name, value]) => [name.toLowerCase(), utf8(value)]);
        expect(ours).toEqual([
          ["host", HOST],
          ["audit-id", exchangeIdText(head.exchangeId)],
          ...(token === undefined ? [] : [["authorization", `Bearer ${token}`]]),
          ["impersonate-user", subject.user],
          ...subject.groups.map((group) => ["impersonate-group", group]),
          ...(subject.uid === undefined ? [] : [["impersonate-uid", subject.uid]]),
          ...Object.entries(subject.extra ?? {}).flatMap(([key, given]) =>
            given.map((value) => [`impersonate-extra-${percentEncoded(key)}`, value]),
          ),
        ]);
        // No credential goes on in another header either.
        const protocols = pairs.filter(([name]) => name.toLowerCase() === "sec-websocket-protocol");
        expect(protocols.length).toBeLessThan(2);
        expect(protocols.flat().join()).not.toContain(BEARER);
        seen.sent++;
      },
    );
    await fuzz(1_500, property);
    expect(Math.min(seen.sent, seen.refused)).toBeGreaterThan(100);
  });

  it("the request asks to be somebody else exactly if one of them says so", async () => {
    const seen = { asks: 0, doesNot: 0 };
    const property = fc.property(lines, (headers) => {
      const asked = headers.some(({ name }) => /^impersonate-/i.test(name));
      expect(asksForImpersonation(requestHead({ headers }))).toBe(asked);
      if (asked) seen.asks++;
      else seen.doesNot++;
    });
    await fuzz(1_000, property);
    expect(Math.min(seen.asks, seen.doesNot)).toBeGreaterThan(100);
  });

  it("whom it asks to be is whom they name, all of them, or it is refused", async () => {
    const seen = { named: 0, refused: 0 };
    const property = fc.property(linesOf(fc.oneof(asking, names)), (headers) => {
      const asked = headers.filter(({ name }) => /^impersonate-/i.test(name));
      const identity = outcome(() => requestedIdentity(requestHead({ headers })));
      if ("code" in identity) {
        expect(identity.code).toBe(ErrorCode.MALFORMED_REQUEST);
        seen.refused++;
        return;
      }
      const { user, uid, groups, extra = {} } = identity;
      const named = [user, ...(uid === undefined ? [] : [uid]), ...groups, ...Object.values(extra).flat()];
      expect(named.toSorted()).toEqual(asked.map(({ value }) => Buffer.from(value).toString()).toSorted());
      seen.named++;
    });
    await fuzz(1_000, property);
    expect(Math.min(seen.named, seen.refused)).toBeGreaterThan(50);
  });

  it("who is asked for as the apiserver is asked is who is read", () =>
    fuzz(
      500,
      fc.property(subjects, ({ user, groups, uid, extra = {} }) => {
        const raw = impersonationHeaders({ user, groups, uid, extra });
        const headers = raw.flatMap((name, i): Header[] =>
          i % 2 === 0
            ? [{ $typeName: "fairlead.tunnel.v1alpha1.Header", name, value: Buffer.from(raw[i + 1] ?? "", "latin1") }]
            : [],
        );
        const identity = requestedIdentity(requestHead({ headers }));
        expect({ ...identity, extra: identity.extra ?? {} }).toEqual({ user, groups, uid, extra });
      }),
    ));

  it("there is one token, none, or the request is refused: never one of several", async () => {
    const seen = { token: 0, none: 0, refused: 0 };
    const property = fc.property(credentials, (headers) => {
      const token = outcome(() => callerToken(requestHead({ headers })));
      const shown = headers.flatMap(({ name, value }) => {
        if (/^authorization$/i.test(name)) return ["a header"];
        if (!/^sec-websocket-protocol$/i.test(name)) return [];
        return Buffer.from(value)
          .toString("latin1")
          .split(",")
          .filter((protocol) => protocol.trim().startsWith(BEARER));
      });
      if (typeof token === "object") {
        expect([ErrorCode.MALFORMED_REQUEST, ErrorCode.PROTOCOL_VIOLATION]).toContain(token.code);
        if (token.code === ErrorCode.MALFORMED_REQUEST) expect(shown.length).toBeGreaterThan(1);
        seen.refused++;
        return;
      }
      expect(shown.length).toBeLessThan(2);
      if (shown.length === 0) expect(token).toBeUndefined();
      if (token === undefined) seen.none++;
      else seen.token++;
    });
    await fuzz(1_000, property);
    expect(Math.min(seen.token, seen.none, seen.refused)).toBeGreaterThan(20);
  });
});
