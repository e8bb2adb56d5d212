export {
  type IssuerConfiguration,
  parseAuthenticationConfiguration,
} from "./configuration.ts";
export { ProofKey } from "./dpop/proof-key.ts";
export { ProofVerifier } from "./dpop/proof-verifier.ts";
export { type MappedDetails, mappedDetails } from "./mapped-details.ts";
export { openVerifier } from "./open-verifier.ts";
export type { Subject } from "./subject.ts";
export { bearerToken, TokenVerifier } from "./token-verifier.ts";
