import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, exportJWK } from "jose";
import { proofKeyPair, REQUEST } from "./proof-fixture.ts";
import { ProofKey } from "./proof-key.ts";

describe("a key that tokens are bound to", () => {
  it("has the thumbprint that issuers write into its tokens", async () => {
    const { pem, publicKey } = proofKeyPair();
    const key = await ProofKey.fromPem(pem);
    expect(key.thumbprint).toBe(await calculateJwkThumbprint(await exportJWK(publicKey)));
  });

  it("is the same from PKCS #8 and from SEC 1", async () => {
    const { pem, privateKey } = proofKeyPair();
    const sec1 = privateKey.export({ type: "sec1", format: "pem" }).toString();
    expect((await ProofKey.fromPem(sec1)).thumbprint).toBe((await ProofKey.fromPem(pem)).thumbprint);
  });

  it("shows its public half only, and nothing of the token", async () => {
    const key = await ProofKey.fromPem(proofKeyPair().pem);
    const proof = await key.prove(REQUEST);
    expect(Object.keys(decodeProtectedHeader(proof).jwk ?? {}).sort()).toEqual(["crv", "kty", "x", "y"]);
    expect(JSON.stringify(decodeJwt(proof))).not.toContain(REQUEST.token);
  });

  it("proves as RFC 9449 (4.2) has it", async () => {
    const key = await ProofKey.fromPem(proofKeyPair().pem);
    const proof = await key.prove({ ...REQUEST, target: "/version?a=b" });
    expect(decodeProtectedHeader(proof)).toMatchObject({ typ: "dpop+jwt", alg: "ES256" });
    expect(decodeJwt(proof)).toMatchObject({ htm: "GET", htu: "fairlead://prod-eu1/version" });
  });

  it("proves each request anew", async () => {
    const key = await ProofKey.fromPem(proofKeyPair().pem);
    const [a, b] = [decodeJwt(await key.prove(REQUEST)), decodeJwt(await key.prove(REQUEST))];
    expect(a.jti).not.toBe(b.jti);
  });

  it.each([
    ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey],
    ["another curve", generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
    ["Ed25519", generateKeyPairSync("ed25519").privateKey],
  ])("is not taken of another kind: %s", async (_what, privateKey) => {
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    await expect(ProofKey.fromPem(pem)).rejects.toThrow(/P-256/);
  });

  it("is not taken from what is no private key", async () => {
    await expect(ProofKey.fromPem("nothing")).rejects.toThrow();
    const { publicKey } = proofKeyPair();
    await expect(ProofKey.fromPem(publicKey.export({ type: "spki", format: "pem" }).toString())).rejects.toThrow();
  });
});
