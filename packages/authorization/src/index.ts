export { EXPIRY_INTERVAL_MS, tokenExpired } from "./expiry.ts";
export { inWords, isReadOnly } from "./read-only.ts";
export type { RequestLine } from "./request-info.ts";
export { checkScope, narrowed } from "./scope.ts";
