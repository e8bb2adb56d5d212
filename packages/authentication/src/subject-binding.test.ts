import { describe, expect, it } from "@jest/globals";
import { parseAuthenticationConfiguration } from "./configuration.ts";
import { subjectOf } from "./subject.ts";

const [issuer] = parseAuthenticationConfiguration(`
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer: { url: "https://issuer.example.com", audiences: [fairlead] }
    claimMappings: { username: { claim: sub, prefix: "" } }
`);
if (issuer === undefined) throw new Error("there is no issuer");
const subject = (claims: object) => subjectOf({ sub: "jane", exp: 1_800_000_000, ...claims }, issuer);

describe("a token's binding", () => {
  it("to a key of DPoP's is the subject's", () => {
    expect(subject({ cnf: { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }).keyThumbprint).toBe(
      "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
    );
  });

  it("is none where the token says none", () => {
    expect(subject({}).keyThumbprint).toBeUndefined();
  });

  it.each<[what: string, cnf: unknown]>([
    ["to a certificate (RFC 8705)", { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" }],
    ["to a key and to a certificate", { jkt: "a", "x5t#S256": "b" }],
    ["to a key in full (RFC 7800)", { jwk: { kty: "EC" } }],
    ["to an empty thumbprint", { jkt: "" }],
    ["to a thumbprint that is no text", { jkt: 7 }],
    ["to nothing", {}],
    ["null", null],
    ["that is a text", "jkt"],
  ])("that is not understood is refused, never taken for none: %s", (_what, cnf) => {
    expect(() => subject({ cnf })).toThrow(/bound in a way that is not supported/);
  });
});
