import { ErrorCode, FairleadError, type Hop } from "@fairlead/protocol";

/** How often live exchanges are looked at for what has expired, in milliseconds: how late they may end. */
export const EXPIRY_INTERVAL_MS = 1_000;

/** Why an exchange ends whose token has expired. @param hop the hop that ends it */
export function tokenExpired(hop: Hop): FairleadError {
  const sentence = "your token expired while the request was under way; get a new one, then repeat the request";
  return new FairleadError(ErrorCode.TOKEN_REFUSED, hop, sentence);
}
