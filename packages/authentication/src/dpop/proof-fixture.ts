import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { exportJWK, SignJWT } from "jose";
import { type ProvenRequest, proofClaims } from "./proven-request.ts";

export const REQUEST: ProvenRequest = {
  cluster: "prod-eu1",
  method: "GET",
  target: "/api/v1/namespaces/default/pods/p1/exec?command=ls&stdout=true",
  token: "header.payload.signature",
};

/** A key on P-256, as PEM and as a pair. */
export function proofKeyPair(): { pem: string; privateKey: KeyObject; publicKey: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { pem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), privateKey, publicKey };
}

/** A proof that differs from a good one as a test wants it. */
export async function forgedProof(
  { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject },
  changes: { header?: object; claims?: object; signer?: KeyObject; request?: ProvenRequest } = {},
): Promise<string> {
  const jwk = await exportJWK(publicKey);
  const claims = { ...proofClaims(changes.request ?? REQUEST), jti: "a", iat: Math.floor(Date.now() / 1000) };
  return new SignJWT({ ...claims, ...changes.claims })
    .setProtectedHeader({ typ: "dpop+jwt", alg: "ES256", jwk, ...changes.header })
    .sign(changes.signer ?? privateKey);
}
