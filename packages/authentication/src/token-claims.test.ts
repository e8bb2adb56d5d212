import { describe, expect, it } from "@jest/globals";
import { tokenExpiryMs, tokenSubject } from "./token-claims.ts";

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const token = (claims: unknown) => `${encoded({ alg: "ES256" })}.${encoded(claims)}.c2ln`;

describe("a token's expiry", () => {
  it("is what it says, in milliseconds", () => {
    expect(tokenExpiryMs(token({ exp: 1_800_000_000 }))).toBe(1_800_000_000_000);
  });

  it.each([
    ["no expiry", token({ sub: "jane" })],
    ["an expiry that is a text", token({ exp: "1800000000" })],
    ["claims that are no object", token("jane")],
    ["two parts", "a.b"],
    ["no dot", "opaque"],
    ["nothing", ""],
  ])("is unknown of one with %s", (_what, text) => {
    expect(tokenExpiryMs(text)).toBeUndefined();
  });
});

describe("a token's subject", () => {
  const iss = "https://issuer.example.com";

  it("is who it names, at its issuer", () => {
    expect(tokenSubject(token({ iss, sub: "jane", exp: 1 }))).toBe("jane of https://issuer.example.com");
    expect(tokenSubject(token({ iss: "https://other.example.com", sub: "jane" }))).not.toBe(
      tokenSubject(token({ iss, sub: "jane" })),
    );
  });

  it.each([
    ["no subject", token({ iss })],
    ["no issuer", token({ sub: "jane" })],
    ["a subject that is a number", token({ iss, sub: 7 })],
    ["no claims", "opaque"],
    ["nothing", ""],
  ])("is unknown of one with %s", (_what, text) => {
    expect(tokenSubject(text)).toBeUndefined();
  });
});
