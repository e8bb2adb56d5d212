import { isDeepStrictEqual } from "node:util";
import { type Credential, ErrorCode, FairleadError, type Hop, type RequestHead } from "@fairlead/protocol";
import type { Subject } from "./subject.ts";

/** Of an exchange under way, who began it, by the token that counts now. */
export interface LiveExchange {
  caller: Subject;
}

/**
 * The exchanges that a newer token may carry on.
 *
 * Who authenticates the token: the caller of {@link find}, as for any request. What it may do: move one expiry, of an
 * exchange that the same person began. What must not happen: that somebody else's token, or one of a person who has lost
 * a group since, keeps an exchange alive that was admitted as what the person was then. So all that a subject is has to
 * be the same, and whoever asks for what is not theirs cannot tell it from what is not there.
 */
export class LiveExchanges<Exchange extends LiveExchange> {
  readonly #hop: Hop;
  /** By id, cluster and user: ids are the callers' own, so that one caller's must not hide another's. */
  readonly #byKey = new Map<string, Exchange>();

  /** @param hop the process that judges, named in errors */
  constructor(hop: Hop) {
    this.#hop = hop;
  }

  get count(): number {
    return this.#byKey.size;
  }

  /** An exchange begins. @returns to be called when it is over, once or more often */
  begin(head: Pick<RequestHead, "exchangeId" | "cluster">, exchange: Exchange): () => void {
    const key = keyOf(head, exchange.caller);
    this.#byKey.set(key, exchange);
    return () => {
      if (this.#byKey.get(key) === exchange) this.#byKey.delete(key);
    };
  }

  /**
   * The exchange that a credential carries on.
   *
   * @param caller who the credential's token speaks for, verified
   * @throws FairleadError ACCESS_DENIED if there is none that this caller began, TOKEN_REFUSED if the token is no newer
   */
  find(credential: Credential, caller: Subject): Exchange {
    const exchange = this.#byKey.get(keyOf(credential, caller));
    if (exchange === undefined || !isSameCaller(exchange.caller, caller)) {
      const sentence =
        "no request of this id is under way that the token could carry on: user, uid, groups, extras and key must be those that it was begun with";
      throw new FairleadError(ErrorCode.ACCESS_DENIED, this.#hop, sentence);
    }
    if (caller.expiresAtMs > exchange.caller.expiresAtMs) return exchange;
    const sentence = "the token does not expire later than the one that the request has";
    throw new FairleadError(ErrorCode.TOKEN_REFUSED, this.#hop, sentence);
  }
}

/** Whether two tokens speak for the same person in all that anything may be decided by; the order of groups is not. */
function isSameCaller(a: Subject, b: Subject): boolean {
  const { expiresAtMs: _until, ...then } = a;
  const { expiresAtMs: _later, ...now } = b;
  return isDeepStrictEqual({ ...then, groups: new Set(then.groups) }, { ...now, groups: new Set(now.groups) });
}

/** An id has 16 bytes, and a user's name no control characters: no two of these read alike. */
function keyOf({ exchangeId, cluster }: Pick<RequestHead, "exchangeId" | "cluster">, { user }: Subject): string {
  return `${Buffer.from(exchangeId).toString("latin1")}${cluster}\0${user}`;
}
