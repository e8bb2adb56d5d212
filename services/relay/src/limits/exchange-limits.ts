import type { Limits } from "./limits.ts";
import { LIMIT_NAMES, type LimitName, type Refused, refusal } from "./refusal.ts";
import { TokenBucket } from "./token-bucket.ts";

/** When a place may be free again nobody knows; whoever is refused one is told to come back after this. */
const PLACE_RETRY_SECONDS = 1;
/** How often users that are idle are forgotten, in milliseconds. */
const FORGET_INTERVAL_MS = 10_000;
/** How long a refusal is not told again for the same user and limit, in milliseconds. */
const TELL_INTERVAL_MS = 60_000;

/** What the limits are told, and whom they tell. */
export interface ExchangeLimitsOptions {
  limits: Limits;
  /** A clock that never goes back, in milliseconds. */
  nowMs(): number;
  /** An exchange was refused. Called once a minute at most for each user and limit. */
  refused(refused: Refused): void;
}

/** A user that has exchanges, had some just before, or was refused within the last minute. */
interface ActiveUser {
  exchanges: number;
  readonly bucket: TokenBucket;
  readonly toldAtMs: Map<LimitName, number>;
}

/**
 * Counts exchanges by user, by cluster and in all, and refuses those over a limit. A refusal takes nothing: neither a
 * place nor a token of the user's bucket.
 */
export class ExchangeLimits {
  readonly #options: ExchangeLimitsOptions;
  readonly #limits: Limits;
  readonly #users = new Map<string, ActiveUser>();
  readonly #clusters = new Map<string, number>();
  readonly #refusals: Record<LimitName, number>;
  #exchanges = 0;
  #forgotAtMs: number;

  constructor(options: ExchangeLimitsOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#forgotAtMs = options.nowMs();
    this.#refusals = Object.fromEntries(LIMIT_NAMES.map((name) => [name, 0])) as Record<LimitName, number>;
  }

  /** How many exchanges there are now, those that wait for their agent too. */
  get exchanges(): number {
    return this.#exchanges;
  }

  /** How many users are remembered. */
  get activeUsers(): number {
    return this.#users.size;
  }

  /** How many exchanges each limit has refused so far. */
  get refusals(): Readonly<Record<LimitName, number>> {
    return this.#refusals;
  }

  /**
   * Takes a place for a new exchange.
   *
   * @param userName who asks, authenticated
   * @param cluster which cluster, one that the user may reach
   * @returns gives the place back when the exchange has ended, in whatever way; called again it does nothing
   * @throws FairleadError LIMIT_EXCEEDED, with the seconds to wait
   */
  take(userName: string, cluster: string): () => void {
    const nowMs = this.#options.nowMs();
    this.#forgetIdle(nowMs);
    const user = this.#user(userName, nowMs);
    const full = this.#fullLimit(user, cluster);
    if (full) throw this.#refuse(full, userName, user, cluster, PLACE_RETRY_SECONDS);
    this.#takeTurn(userName, user, cluster, nowMs); // last, since it is the one that takes something
    this.#add(user, cluster, 1);
    let held = true;
    return () => {
      if (held) this.#add(user, cluster, -1);
      held = false;
    };
  }

  /**
   * Counts what is asked about an exchange that has its place, as if it were a new one. Who is at the limit of exchanges
   * at once may still carry them on.
   *
   * @throws FairleadError LIMIT_EXCEEDED, with the seconds to wait
   */
  takeTurn(userName: string, cluster: string): void {
    const nowMs = this.#options.nowMs();
    this.#takeTurn(userName, this.#user(userName, nowMs), cluster, nowMs);
  }

  #takeTurn(userName: string, user: ActiveUser, cluster: string, nowMs: number): void {
    const waitMs = user.bucket.take(nowMs);
    if (waitMs === 0) return;
    throw this.#refuse("newExchangesPerUserPerSecond", userName, user, cluster, Math.ceil(waitMs / 1_000));
  }

  /** The limit on exchanges at once that is reached; the caller's own first: about that one they can do most. */
  #fullLimit(user: ActiveUser, cluster: string): LimitName | undefined {
    const { exchangesPerUser, exchangesPerCluster, exchangesPerRelay } = this.#limits;
    if (user.exchanges >= exchangesPerUser) return "exchangesPerUser";
    if ((this.#clusters.get(cluster) ?? 0) >= exchangesPerCluster) return "exchangesPerCluster";
    return this.#exchanges >= exchangesPerRelay ? "exchangesPerRelay" : undefined;
  }

  #add(user: ActiveUser, cluster: string, change: 1 | -1): void {
    user.exchanges += change;
    this.#exchanges += change;
    const inCluster = (this.#clusters.get(cluster) ?? 0) + change;
    if (inCluster === 0) this.#clusters.delete(cluster);
    else this.#clusters.set(cluster, inCluster);
  }

  #user(name: string, nowMs: number): ActiveUser {
    const known = this.#users.get(name);
    if (known) return known;
    const { newExchangesPerUserPerSecond: perSecond, newExchangesPerUserBurst: burst } = this.#limits;
    const user = { exchanges: 0, bucket: new TokenBucket({ perSecond, burst }, nowMs), toldAtMs: new Map() };
    this.#users.set(name, user);
    return user;
  }

  #refuse(limit: LimitName, userName: string, user: ActiveUser, cluster: string, retryAfterSeconds: number): Error {
    const nowMs = this.#options.nowMs();
    this.#refusals[limit]++;
    if (nowMs - (user.toldAtMs.get(limit) ?? Number.NEGATIVE_INFINITY) >= TELL_INTERVAL_MS) {
      user.toldAtMs.set(limit, nowMs);
      this.#options.refused({ user: userName, cluster, limit });
    }
    return refusal(limit, this.#limits, cluster, retryAfterSeconds);
  }

  /** So the memory is bounded by the exchanges of now and the users of the last minute. */
  #forgetIdle(nowMs: number): void {
    if (nowMs - this.#forgotAtMs < FORGET_INTERVAL_MS) return;
    this.#forgotAtMs = nowMs;
    for (const [name, user] of this.#users) {
      const toldLately = [...user.toldAtMs.values()].some((atMs) => nowMs - atMs < TELL_INTERVAL_MS);
      if (user.exchanges === 0 && user.bucket.isFull(nowMs) && !toldLately) this.#users.delete(name);
    }
  }
}
