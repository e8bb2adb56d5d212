import { X509Certificate } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { AGENT_PROOF, clusterOf } from "@fairlead/agent-identity";
import { UsedProofs } from "@fairlead/authentication";
import { ErrorCode, FairleadError, Hop, methodPath } from "@fairlead/protocol";
import { decodeProtectedHeader, errors, jwtVerify } from "jose";
import { keyOf } from "./key-of.ts";

/*
 * Who authenticates: an agent, by a key that only it has, under a certificate of our authority. What it may do: be the
 * agent of the one cluster that the certificate names. What must not happen: that a proof seen on the way is used again,
 * or for another method; that a certificate of anybody else's, a server's or an authority's counts; that one counts that
 * has ended. Whether the key is still the agent's, and not one before it, is for agents.ts to say.
 */

/** How far the agent's clock may be off, in seconds. */
const CLOCK_TOLERANCE_SECONDS = 60;
/** Longest proof that is looked at. */
const MAX_PROOF_BYTES = 8 * 1024;
/** Extended key usage (RFC 5280, 4.2.1.12). */
const CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2";

/** An agent that has proved its key. */
export interface ProvenAgent {
  cluster: string;
  /** The key's name: see {@link keyOf}. */
  key: string;
}

/** Judges agents' proofs, and takes each once. */
export class AgentProofVerifier {
  readonly #trusted: readonly X509Certificate[];
  readonly #used = new UsedProofs((AGENT_PROOF.lifetimeSeconds + 2 * CLOCK_TOLERANCE_SECONDS) * 1_000);

  /** @param trusted the authorities whose certificates count */
  constructor(trusted: readonly X509Certificate[]) {
    this.#trusted = trusted;
  }

  /** @throws FairleadError TOKEN_REFUSED with what is wrong */
  async verify(proof: string | undefined, method: DescMethod): Promise<ProvenAgent> {
    if (proof === undefined) throw refused("there is none");
    if (proof.length > MAX_PROOF_BYTES) throw refused("it is too long");
    const certificate = certificateOf(proof);
    const cluster = this.#judge(certificate);
    const { type, algorithm, lifetimeSeconds } = AGENT_PROOF;
    const expected = { typ: type, algorithms: [algorithm], audience: methodPath(method) };
    const times = {
      maxTokenAge: lifetimeSeconds,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ["exp", "jti"],
    };
    const { payload } = await jwtVerify(proof, certificate.publicKey, { ...expected, ...times }).catch(rejected);
    const key = keyOf(certificate.publicKey);
    if (!this.#used.use(`${key} ${payload.jti}`)) throw refused("it was used before");
    return { cluster, key };
  }

  /** @returns the cluster that it is for */
  #judge(certificate: X509Certificate): string {
    // An authority and the one that replaces it may have the same name: only the signature tells them apart.
    const isOurs = this.#trusted.some((one) => certificate.checkIssued(one) && certificate.verify(one.publicKey));
    if (!isOurs) throw refused("its certificate is not of this relay's authority");
    const cluster = clusterOf(certificate);
    const usage: readonly string[] = certificate.keyUsage ?? [];
    if (cluster === undefined || certificate.ca || !usage.includes(CLIENT_AUTHENTICATION)) {
      throw refused("its certificate is no agent's");
    }
    const now = Date.now();
    if (certificate.validToDate.getTime() <= now) {
      const since = certificate.validToDate.toISOString();
      throw refused(
        `its certificate has expired, at ${since}; make a join token with \`fairlead clusters join-token ${cluster}\``,
      );
    }
    const early = certificate.validFromDate.getTime() - now;
    if (early > CLOCK_TOLERANCE_SECONDS * 1_000)
      throw refused("its certificate is of the future; check the relay's clock");
    return cluster;
  }
}

function certificateOf(proof: string): X509Certificate {
  try {
    const [first = ""] = decodeProtectedHeader(proof).x5c ?? [];
    return new X509Certificate(Buffer.from(first, "base64"));
  } catch {
    throw refused("it names no certificate");
  }
}

/** The clock first: it is what most often is wrong of a proof that an agent of ours made. */
function rejected(error: unknown): never {
  if (error instanceof errors.JWTExpired) throw refused("it is too old; check the agent's clock");
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "iat") throw refused("it is of the future; check the agent's clock");
    throw refused(`its ${error.claim} is not what is due`);
  }
  throw refused("its signature is not by the certificate's key");
}

function refused(reason: string): FairleadError {
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, `the agent's proof is refused: ${reason}`);
}
