export {
  type IssuerConfiguration,
  parseAuthenticationConfiguration,
} from "./configuration.ts";
export { ProofKey } from "./dpop/proof-key.ts";
export { ProofVerifier } from "./dpop/proof-verifier.ts";
export { provenCredential } from "./dpop/proven-request.ts";
export { UsedProofs } from "./dpop/used-proofs.ts";
export { Issuer, IssuerUnavailableError } from "./issuer.ts";
export { type LiveExchange, LiveExchanges } from "./live-exchanges.ts";
export { type MappedDetails, mappedDetails } from "./mapped-details.ts";
export { openVerifier } from "./open-verifier.ts";
export type { Subject } from "./subject.ts";
export { bearerToken, TokenVerifier } from "./token-verifier.ts";
