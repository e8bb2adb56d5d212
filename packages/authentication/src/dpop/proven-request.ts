import { hash } from "node:crypto";
import { type Credential, exchangeIdText, type RequestHead } from "@fairlead/protocol";

/** What a proof is bound to: one request to one cluster, with one token. */
export type ProvenRequest = Pick<RequestHead, "cluster" | "method" | "target" | "scope"> & { token: string };

/** What the proof of a newer token is bound to. No request has such a method, so that neither's proof is the other's. */
export function provenCredential({
  cluster,
  exchangeId,
  token,
}: Pick<Credential, "cluster" | "exchangeId" | "token">): ProvenRequest {
  return { cluster, method: "credential", target: `/${exchangeIdText(exchangeId)}`, token };
}

/** The claims of a DPoP proof (RFC 9449, 4.2), with two of ours. */
export interface ProofClaims {
  /** The method. */
  htm: string;
  /** The target's address, without query as RFC 9449 has it. Ours names the cluster: a proof is of no use in another. */
  htu: string;
  /** The token's SHA-256. */
  ath: string;
  /** Ours: the SHA-256 of path and query. An exec's command is in the query, which `htu` leaves out. */
  fairlead_target: string;
  /** Ours: the SHA-256 of what the request is kept from, so that nobody on the way takes the limit off. */
  fairlead_scope: string;
}

/** The claims that a proof for this request must have. */
export function proofClaims({ cluster, method, target, scope, token }: ProvenRequest): ProofClaims {
  const [path = ""] = target.split("?", 1);
  return {
    htm: method,
    htu: `fairlead://${cluster}${path}`,
    ath: hash("sha256", token, "base64url"),
    fairlead_target: hash("sha256", target, "base64url"),
    fairlead_scope: hash(
      "sha256",
      JSON.stringify([scope?.readOnly ?? false, scope?.groups?.names ?? null]),
      "base64url",
    ),
  };
}
