import { createPrivateKey, type KeyObject, randomUUID, X509Certificate } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { methodPath } from "@fairlead/protocol";
import { SignJWT } from "jose";
import { clusterOf } from "./cluster-uri.ts";
import { AGENT_PROOF } from "./proof.ts";

/** An agent's certificate and its key, both PEM. */
export interface AgentIdentityFiles {
  certificate: string;
  key: string;
}

/** What an agent is to a relay: a certificate that names its cluster, and the key that never leaves where it runs. */
export class AgentIdentity {
  readonly #key: KeyObject;
  readonly #certificate: X509Certificate;
  readonly cluster: string;

  /** @throws Error if the certificate is not the key's, or no agent's */
  constructor({ certificate, key }: AgentIdentityFiles) {
    this.#key = createPrivateKey(key);
    this.#certificate = new X509Certificate(certificate);
    const cluster = clusterOf(this.#certificate);
    if (cluster === undefined) throw new Error("the certificate is no agent's: it names no cluster");
    if (!this.#certificate.checkPrivateKey(this.#key)) throw new Error("the certificate is not the key's");
    this.cluster = cluster;
  }

  /** When the certificate ends, in milliseconds since the epoch. */
  get expiresAtMs(): number {
    return this.#certificate.validToDate.getTime();
  }

  /** When the next certificate is due: at two thirds of this one's life. In milliseconds since the epoch. */
  get renewAtMs(): number {
    const fromMs = this.#certificate.validFromDate.getTime();
    return fromMs + ((this.expiresAtMs - fromMs) * 2) / 3;
  }

  /** Proves the key, for one call of one method. The proof counts once, and for a minute. */
  prove(method: DescMethod): Promise<string> {
    const { type, algorithm, lifetimeSeconds } = AGENT_PROOF;
    return new SignJWT()
      .setProtectedHeader({ typ: type, alg: algorithm, x5c: [this.#certificate.raw.toString("base64")] })
      .setAudience(methodPath(method))
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime(`${lifetimeSeconds} s`)
      .sign(this.#key);
  }
}
