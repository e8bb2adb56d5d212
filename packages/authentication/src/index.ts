export {
  type IssuerConfiguration,
  parseAuthenticationConfiguration,
  readAuthenticationConfiguration,
} from "./configuration.ts";
export type { Subject } from "./subject.ts";
export { bearerToken, TokenVerifier } from "./token-verifier.ts";
