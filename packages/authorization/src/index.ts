export { EXPIRY_INTERVAL_MS, tokenExpired } from "./expiry.ts";
export {
  CAPPED_VERB,
  capRules,
  DISCOVERY_PATHS,
  type ImpersonationMode,
  impersonationRules,
  type PolicyRule,
  SELF_REVIEWS,
} from "./impersonation-rights.ts";
export { inWords, isReadOnly, isWatch } from "./read-only.ts";
export type { RequestLine } from "./request-info.ts";
export { checkScope, narrowed } from "./scope.ts";
