import { MAX_CLUSTER_EXCHANGES } from "@fairlead/protocol";

/**
 * What the relay lets through. An exchange counts from when it is admitted, while it waits for its agent too, until it
 * has ended; a watch or an exec counts as one for as long as it lasts.
 */
export interface Limits {
  /** Exchanges of one user at once, to all clusters together. */
  exchangesPerUser: number;
  /** Exchanges to one cluster at once, of all users together. At most {@link MAX_CLUSTER_EXCHANGES}. */
  exchangesPerCluster: number;
  /** Exchanges of this relay at once. */
  exchangesPerRelay: number;
  /** New exchanges of one user in a second, once its burst is used up. */
  newExchangesPerUserPerSecond: number;
  /** New exchanges of one user that may come at once; at least a second's. */
  newExchangesPerUserBurst: number;
}

/**
 * For one relay that serves 500 clusters.
 *
 * A cold kubectl's 300 discovery requests and 100 watches of a user's other programs fit in at once, with 100 to spare.
 * A user at all limits has a quarter of what a cluster takes and a fortieth of what the relay takes, so that four users
 * have to fill a cluster; and starts 200 exchanges a second, four times what one kubectl lets itself (50), of the
 * thousands that a relay and an agent carry. A cluster that is full has a tenth of the relay.
 */
export const DEFAULT_LIMITS: Limits = {
  exchangesPerUser: 500,
  exchangesPerCluster: 2_000,
  exchangesPerRelay: 20_000,
  newExchangesPerUserPerSecond: 200,
  newExchangesPerUserBurst: 1_000,
};

/**
 * Completes what the configuration says by the defaults.
 *
 * @param given each limit that the configuration has, by name, as it stands there
 * @throws Error that names the limit that is no number, too small or too large
 */
export function limitsOf(given: Record<string, unknown>): Limits {
  const whole = (name: keyof Limits, most = Number.MAX_SAFE_INTEGER): number => {
    const value = name in given ? given[name] : DEFAULT_LIMITS[name];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? "from 1 on" : `from 1 to ${most}`;
    throw new Error(`limits.${name}: a whole number ${range} is due`);
  };
  const newExchangesPerUserPerSecond = whole("newExchangesPerUserPerSecond");
  const newExchangesPerUserBurst = whole("newExchangesPerUserBurst");
  if (newExchangesPerUserBurst < newExchangesPerUserPerSecond) {
    // Retry-After has whole seconds: what comes back after one must find the tokens of that second.
    const least = `limits.newExchangesPerUserPerSecond (${newExchangesPerUserPerSecond})`;
    throw new Error(`limits.newExchangesPerUserBurst: at least ${least} is due`);
  }
  return {
    exchangesPerUser: whole("exchangesPerUser"),
    exchangesPerCluster: whole("exchangesPerCluster", MAX_CLUSTER_EXCHANGES),
    exchangesPerRelay: whole("exchangesPerRelay"),
    newExchangesPerUserPerSecond,
    newExchangesPerUserBurst,
  };
}
