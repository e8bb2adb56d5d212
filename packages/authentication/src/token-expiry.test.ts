import { describe, expect, it } from "@jest/globals";
import { tokenExpiryMs } from "./token-expiry.ts";

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
