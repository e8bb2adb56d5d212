import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Limits } from "./limits.ts";

/** The limits that an exchange can meet, by their names in the configuration. */
export const LIMIT_NAMES = [
  "exchangesPerUser",
  "exchangesPerCluster",
  "exchangesPerRelay",
  "newExchangesPerUserPerSecond",
] as const satisfies readonly (keyof Limits)[];

export type LimitName = (typeof LIMIT_NAMES)[number];

/** Who was refused, and by which limit. */
export interface Refused {
  user: string;
  cluster: string;
  limit: LimitName;
}

const SENTENCES: Record<LimitName, (limits: Limits, cluster: string) => string> = {
  exchangesPerUser: ({ exchangesPerUser: most }) =>
    `you have ${most} requests under way, the most that this relay allows one user at once (limits.exchangesPerUser); end watches and execs that you do not need, or ask the relay's administrators for more`,
  exchangesPerCluster: ({ exchangesPerCluster: most }, cluster) =>
    `${most} requests to the cluster ${cluster} are under way, the most that this relay allows one cluster at once (limits.exchangesPerCluster); try again in a moment, or ask the relay's administrators for more`,
  exchangesPerRelay: ({ exchangesPerRelay: most }) =>
    `${most} requests are under way, the most that this relay carries at once (limits.exchangesPerRelay); try again in a moment, or ask the relay's administrators for more`,
  newExchangesPerUserPerSecond: ({ newExchangesPerUserPerSecond: rate, newExchangesPerUserBurst: burst }) =>
    `you begin more requests than this relay allows one user, ${rate} a second after a burst of ${burst} (limits.newExchangesPerUserPerSecond); slow down, or ask the relay's administrators for more`,
};

/** The refusal of an exchange that meets a limit. Nothing of it has left the relay: it may safely be sent again. */
export function refusal(limit: LimitName, limits: Limits, cluster: string, retryAfterSeconds: number): FairleadError {
  const sentence = SENTENCES[limit](limits, cluster);
  return new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, sentence, { retryAfterSeconds });
}

/** What one user meets is that user's affair; what all users of a cluster or of the relay meet is the administrators'. */
export function logRefusal(log: Logger, refused: Refused): void {
  const shared = refused.limit === "exchangesPerCluster" || refused.limit === "exchangesPerRelay";
  log[shared ? "warn" : "info"](refused, "a limit is reached; exchanges are refused");
}
