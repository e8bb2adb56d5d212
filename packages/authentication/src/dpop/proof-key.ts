import { createPrivateKey, createPublicKey, randomUUID } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, type JWK, SignJWT } from "jose";
import { type ProvenRequest, proofClaims } from "./proven-request.ts";

const ALGORITHM = "ES256";
/** The curve of ES256, as node names it. */
const CURVE = "prime256v1";

/** The key that a caller's tokens are bound to. It proves that a request comes from who got the token. */
export class ProofKey {
  readonly #key: ReturnType<typeof createPrivateKey>;
  readonly #publicJwk: JWK;
  /** What an issuer writes into a token that is bound to this key, as `cnf.jkt` (RFC 7638). */
  readonly thumbprint: string;

  private constructor(key: ReturnType<typeof createPrivateKey>, publicJwk: JWK, thumbprint: string) {
    this.#key = key;
    this.#publicJwk = publicJwk;
    this.thumbprint = thumbprint;
  }

  /** @param pem a private key on the curve P-256. @throws Error if it is not one */
  static async fromPem(pem: string): Promise<ProofKey> {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyDetails?.namedCurve !== CURVE) throw new Error("it is no key on the curve P-256");
    const publicJwk = await exportJWK(createPublicKey(key));
    return new ProofKey(key, publicJwk, await calculateJwkThumbprint(publicJwk));
  }

  /** A proof for one request: the value of its `DPoP` header (RFC 9449, 4.1). It counts once. */
  prove(request: ProvenRequest): Promise<string> {
    return new SignJWT({ ...proofClaims(request) })
      .setProtectedHeader({ typ: "dpop+jwt", alg: ALGORITHM, jwk: this.#publicJwk })
      .setJti(randomUUID())
      .setIssuedAt()
      .sign(this.#key);
  }
}
