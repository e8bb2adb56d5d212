export { EXPIRY_INTERVAL_MS, tokenExpired } from "./expiry.ts";
export { type Extras, isOwnExtraKey, ORIGINAL_USER_KEY, WAY_KEYS } from "./extras.ts";
export {
  CAPPED_VERB,
  capRules,
  DISCOVERY_PATHS,
  type ImpersonationMode,
  type ImpersonationNeeds,
  impersonationRules,
  type PolicyRule,
  SELF_REVIEWS,
} from "./impersonation-rights.ts";
export { inWords, isReadOnly, isWatch } from "./read-only.ts";
export type { RequestLine } from "./request-info.ts";
export { checkScope, narrowed } from "./scope.ts";
export {
  isOwnTarget,
  isServiceLabel,
  parseServicePort,
  type ServicePort,
  servicePortOf,
  servicePortText,
  serviceTarget,
  TCP_UPGRADE,
} from "./service-port.ts";
