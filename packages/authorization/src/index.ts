export { EXPIRY_INTERVAL_MS, tokenExpired } from "./expiry.ts";
export { inWords, isReadOnly, isWatch } from "./read-only.ts";
export type { RequestLine } from "./request-info.ts";
export { checkScope, narrowed } from "./scope.ts";
