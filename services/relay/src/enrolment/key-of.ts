import { hash, type KeyObject } from "node:crypto";

/** Names a public key: SHA-256 of its SubjectPublicKeyInfo, in hex. */
export function keyOf(publicKey: KeyObject): string {
  return hash("sha256", publicKey.export({ type: "spki", format: "der" }));
}
