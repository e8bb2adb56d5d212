import { ErrorCode } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { execCredential } from "./exec-credential.ts";

const NOW_MS = Date.parse("2026-11-24T10:00:00Z");
const V1 = "client.authentication.k8s.io/v1";
const V1BETA1 = "client.authentication.k8s.io/v1beta1";

function tokenWith(claims: object): string {
  const part = (of: object) => Buffer.from(JSON.stringify(of)).toString("base64url");
  return `${part({ alg: "ES256" })}.${part(claims)}.signature`;
}
const expiringIn = (seconds: number) => tokenWith({ exp: NOW_MS / 1_000 + seconds });
const statusOf = (token: string) => execCredential(token, undefined, NOW_MS).status;

describe("a credential for kubectl", () => {
  it.each([
    ["an hour", 3_600, "2026-11-24T10:59:30.000Z"],
    ["five minutes", 300, "2026-11-24T10:04:30.000Z"],
    ["ten seconds", 10, "2026-11-24T10:00:09.000Z"],
    ["one second", 1, "2026-11-24T10:00:00.900Z"],
  ])("of a token with %s left expires a little before it, and not yet", (_what, seconds, expirationTimestamp) => {
    const token = expiringIn(seconds);
    expect(statusOf(token)).toEqual({ token, expirationTimestamp });
  });

  it.each<[what: string, token: string]>([
    ["that says no time", tokenWith({ sub: "jane" })],
    ["whose time is no number", tokenWith({ exp: "tomorrow" })],
    ["whose time no date can say", tokenWith({ exp: 1e300 })],
    ["that is no JWT", "opaque"],
    ["whose claims are no JSON", "a.b.c"],
  ])("of a token %s has no expiry", (_what, token) => {
    expect(statusOf(token)).toEqual({ token });
  });

  it.each([0, -1, -3_600])(
    "of a token with %d seconds left is none: it would be asked for again at once",
    (seconds) => {
      expect(() => statusOf(expiringIn(seconds))).toThrow(
        expect.objectContaining({
          code: ErrorCode.TOKEN_REFUSED,
          message: expect.stringMatching(/^your token expired at 2/),
        }),
      );
    },
  );

  it.each([
    ["nothing", undefined, V1],
    ["an empty text", "", V1],
    ["v1", JSON.stringify({ apiVersion: V1, kind: "ExecCredential", spec: { interactive: true } }), V1],
    ["v1beta1", JSON.stringify({ apiVersion: V1BETA1, spec: { interactive: false } }), V1BETA1],
  ])("for a client that says %s has the version that it reads", (_what, execInfo, apiVersion) => {
    expect(execCredential("opaque", execInfo, NOW_MS)).toMatchObject({ kind: "ExecCredential", apiVersion });
  });

  it.each([
    ["v1alpha1", JSON.stringify({ apiVersion: "client.authentication.k8s.io/v1alpha1" })],
    ["a version to come", JSON.stringify({ apiVersion: "client.authentication.k8s.io/v2" })],
    ["no version", "{}"],
    ["null", "null"],
    ["a list", "[]"],
    ["no JSON", "{"],
  ])("for a client that says %s is refused: it could read another answer wrongly", (_what, execInfo) => {
    expect(() => execCredential("opaque", execInfo, NOW_MS)).toThrow(
      expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST }),
    );
  });

  it("never has the token in its refusal", () => {
    const token = expiringIn(-1);
    expect(() => execCredential(token, undefined, NOW_MS)).toThrow(expect.not.objectContaining({ message: token }));
  });
});
