import { calculateJwkThumbprint, EmbeddedJWK, errors, jwtVerify } from "jose";
import { type ProvenRequest, proofClaims } from "./proven-request.ts";
import { UsedProofs } from "./used-proofs.ts";

/** Signatures of public keys only (RFC 9449, 4.3). */
const ALGORITHMS = ["ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512", "EdDSA"];
/** How old a proof may be, in seconds: for as long, what was used is remembered. */
const LIFETIME_SECONDS = 60;
/** How far the caller's clock may be ahead, in seconds. */
const CLOCK_TOLERANCE_SECONDS = 30;
/** Longest proof that is looked at. */
const MAX_PROOF_BYTES = 8 * 1024;
/** Longest id of a proof. */
const MAX_ID_BYTES = 128;

/** Judges proofs of possession (DPoP, RFC 9449), and takes each once. */
export class ProofVerifier {
  readonly #used = new UsedProofs((LIFETIME_SECONDS + CLOCK_TOLERANCE_SECONDS) * 1_000);

  /**
   * Judges the proof of a request whose token is bound to a key.
   *
   * @param proofs the values of its `DPoP` headers
   * @param thumbprint the token's `cnf.jkt`
   * @throws Error with a sentence for the caller
   */
  async verify(proofs: readonly string[], request: ProvenRequest, thumbprint: string): Promise<void> {
    const [proof] = proofs;
    if (proof === undefined) throw new Error("it is bound to a key (DPoP), and the request has no proof of that key");
    if (proofs.length > 1) throw new Error("the request has more than one DPoP proof");
    if (proof.length > MAX_PROOF_BYTES) throw new Error("its DPoP proof is too long");
    const { payload, protectedHeader } = await parsed(proof);
    if ((await calculateJwkThumbprint(protectedHeader.jwk ?? {})) !== thumbprint) {
      throw new Error("its DPoP proof is of another key than the one that the token is bound to");
    }
    for (const [claim, due] of Object.entries(proofClaims(request))) {
      if (payload[claim] !== due) throw new Error(`its DPoP proof is for another request (${claim})`);
    }
    const { iat = Number.NaN, jti } = payload;
    const ageSeconds = Date.now() / 1_000 - iat;
    if (!(ageSeconds >= -CLOCK_TOLERANCE_SECONDS)) throw new Error("its DPoP proof is of the future; check the clock");
    if (ageSeconds > LIFETIME_SECONDS) throw new Error("its DPoP proof is too old; check the clock");
    if (typeof jti !== "string" || jti === "" || jti.length > MAX_ID_BYTES) throw new Error("its DPoP proof has no id");
    if (!this.#used.use(`${thumbprint} ${jti}`)) throw new Error("its DPoP proof was used before");
  }
}

async function parsed(proof: string) {
  try {
    return await jwtVerify(proof, EmbeddedJWK, { typ: "dpop+jwt", algorithms: ALGORITHMS, requiredClaims: ["iat"] });
  } catch (cause) {
    const signature = cause instanceof errors.JWSSignatureVerificationFailed;
    throw new Error(signature ? "its DPoP proof's signature is wrong" : "its DPoP proof is not valid", { cause });
  }
}
