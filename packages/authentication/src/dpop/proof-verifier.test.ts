import { createSecretKey } from "node:crypto";
import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { exportJWK, SignJWT, UnsecuredJWT } from "jose";
import { forgedProof, proofKeyPair, REQUEST } from "./proof-fixture.ts";
import { ProofKey } from "./proof-key.ts";
import { ProofVerifier } from "./proof-verifier.ts";
import { type ProvenRequest, proofClaims } from "./proven-request.ts";

const pair = proofKeyPair();
const key = await ProofKey.fromPem(pair.pem);
const stranger = await ProofKey.fromPem(proofKeyPair().pem);

afterEach(() => {
  jest.useRealTimers();
});

const verify = (proof: string, request = REQUEST, verifier = new ProofVerifier()) =>
  verifier.verify([proof], request, key.thumbprint);
const secondsFromNow = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

describe("a proof of possession", () => {
  it("of the key that the token is bound to, for this very request, is taken", async () => {
    await verify(await key.prove(REQUEST));
  });

  it("is due when the token is bound to a key", async () => {
    await expect(new ProofVerifier().verify([], REQUEST, key.thumbprint)).rejects.toThrow(/no proof of that key/);
  });

  it("is due once", async () => {
    const proofs = [await key.prove(REQUEST), await key.prove(REQUEST)];
    await expect(new ProofVerifier().verify(proofs, REQUEST, key.thumbprint)).rejects.toThrow(/more than one/);
  });

  it("of another key is refused", async () => {
    await expect(verify(await stranger.prove(REQUEST))).rejects.toThrow(/another key/);
  });

  it.each<[what: string, changes: Partial<ProvenRequest>, claim: string]>([
    ["for another cluster", { cluster: "prod-eu2" }, "htu"],
    ["for another method", { method: "DELETE" }, "htm"],
    ["for the method in another case", { method: "get" }, "htm"],
    ["for another path", { target: "/api/v1/namespaces/default/pods/p2/exec?command=ls&stdout=true" }, "htu"],
    ["for another command", { target: REQUEST.target.replace("ls", "rm") }, "fairlead_target"],
    ["for the path without its query", { target: REQUEST.target.replace(/\?.*/, "") }, "fairlead_target"],
    ["for another token", { token: "another.token.here" }, "ath"],
  ])("%s is refused", async (_what, changes, claim) => {
    await expect(verify(await key.prove({ ...REQUEST, ...changes }))).rejects.toThrow(`another request (${claim})`);
  });

  it("counts once", async () => {
    const verifier = new ProofVerifier();
    const proof = await key.prove(REQUEST);
    await verify(proof, REQUEST, verifier);
    await expect(verify(proof, REQUEST, verifier)).rejects.toThrow(/used before/);
    await verify(await key.prove(REQUEST), REQUEST, verifier);
  });

  it("counts once when it comes twice at the same instant", async () => {
    const verifier = new ProofVerifier();
    const proof = await key.prove(REQUEST);
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => verify(proof, REQUEST, verifier)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("that was refused is not used up", async () => {
    const verifier = new ProofVerifier();
    const proof = await key.prove(REQUEST);
    await expect(verify(proof, { ...REQUEST, method: "PUT" }, verifier)).rejects.toThrow(/another request/);
    await verify(proof, REQUEST, verifier);
  });

  it("cannot be used again when it is forgotten, for then it is too old", async () => {
    jest.useFakeTimers({ doNotFake: ["setImmediate", "nextTick", "queueMicrotask"] });
    const verifier = new ProofVerifier();
    const proof = await key.prove(REQUEST);
    await verify(proof, REQUEST, verifier);
    jest.setSystemTime(Date.now() + 59_000);
    await expect(verify(proof, REQUEST, verifier)).rejects.toThrow(/used before/);
    jest.setSystemTime(Date.now() + 3_000);
    await expect(verify(proof, REQUEST, verifier)).rejects.toThrow(/too old/);
  });

  it.each([
    ["62 s old", -62, /too old/],
    ["32 s of the future", 32, /of the future/],
    ["without time", undefined, /not valid/],
    ["of a time that is no number", "now", /not valid/],
  ])("%s is refused", async (_what, iat, says) => {
    const at = typeof iat === "number" ? secondsFromNow(iat) : iat;
    await expect(verify(await forgedProof(pair, { claims: { iat: at } }))).rejects.toThrow(says);
  });

  it.each([
    ["58 s old", -58],
    ["28 s of the future", 28],
  ])("%s is taken", async (_what, seconds) => {
    await verify(await forgedProof(pair, { claims: { iat: secondsFromNow(seconds) } }));
  });

  it.each([
    ["no id", undefined],
    ["an empty id", ""],
    ["an id that is no text", 7],
    ["an id that is too long", "x".repeat(129)],
  ])("with %s is refused", async (_what, jti) => {
    await expect(verify(await forgedProof(pair, { claims: { jti } }))).rejects.toThrow(/no id/);
  });

  it.each([
    ["of another type", { typ: "JWT" }],
    ["without type", { typ: undefined }],
    ["without key", { jwk: undefined }],
    ["with an extension that must be understood", { crit: ["b64x"], b64x: true }],
  ])("%s is refused", async (_what, header) => {
    const made = forgedProof(pair, { header }).catch(() => "e30.e30.e30"); // jose does not even sign some of them
    await expect(verify(await made)).rejects.toThrow(/not valid/);
  });

  it("that shows the token's key and is signed by another is refused", async () => {
    const forged = await forgedProof(pair, { signer: proofKeyPair().privateKey });
    await expect(verify(forged)).rejects.toThrow(/signature is wrong/);
  });

  it("that shows its private key is refused", async () => {
    const jwk = await exportJWK(pair.privateKey);
    await expect(verify(await forgedProof(pair, { header: { jwk } }))).rejects.toThrow(/not valid/);
  });

  it("without signature is refused", async () => {
    const unsigned = new UnsecuredJWT({ ...proofClaims(REQUEST), jti: "a" }).setIssuedAt().encode();
    await expect(verify(unsigned)).rejects.toThrow(/not valid/);
  });

  it("by a shared secret is refused", async () => {
    const jwk = { kty: "oct", k: "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" };
    const forged = await new SignJWT({ ...proofClaims(REQUEST), jti: "a" })
      .setProtectedHeader({ typ: "dpop+jwt", alg: "HS256", jwk })
      .setIssuedAt()
      .sign(createSecretKey(Buffer.from(jwk.k, "base64url")));
    await expect(verify(forged)).rejects.toThrow(/not valid/);
  });

  it.each([[""], ["x"], ["a.b.c"], ["e30.e30."], ["x".repeat(9_000)], [`${"e30.".repeat(100)}`]])(
    "that is no JWT is refused: %.20j",
    async (proof) => {
      await expect(verify(proof)).rejects.toThrow(/DPoP proof/);
    },
  );
});
