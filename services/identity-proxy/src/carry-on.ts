import { create } from "@bufbuild/protobuf";
import { type LiveExchange, LiveExchanges, provenCredential, type Subject } from "@fairlead/authentication";
import { tokenExpired } from "@fairlead/authorization";
import { header, type Upstream } from "@fairlead/http-bridge";
import {
  type Credential,
  errorCodeName,
  exchangeIdText,
  FairleadError,
  Hop,
  type RequestHead,
  RequestHeadSchema,
} from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Callers } from "./callers.ts";

/** An exchange under way. Its scope and its headers stay as they were admitted: a newer token moves the end alone. */
interface Exchange extends LiveExchange {
  ends: NonNullable<Upstream["ends"]>;
}

/**
 * Lets exchanges go on beyond the token that they were begun with, by a newer one of the same caller. It comes over any
 * lane of the agent's, and is verified as that of a request is: what the relay says of it does not count.
 */
export class CarryOn {
  readonly #callers: Callers;
  readonly #log: Logger;
  readonly #exchanges = new LiveExchanges<Exchange>(Hop.IDENTITY_PROXY);

  constructor(callers: Callers, log: Logger) {
    this.#callers = callers;
    this.#log = log;
  }

  /** An exchange of the caller's begins. */
  begin(head: RequestHead, caller: Subject): Pick<Upstream, "ends" | "over"> {
    const ends = { atMs: caller.expiresAtMs, why: () => tokenExpired(Hop.IDENTITY_PROXY) };
    return { ends, over: this.#exchanges.begin(head, { caller, ends }) };
  }

  /** @throws FairleadError TOKEN_REFUSED, ACCESS_DENIED, ISSUER_UNAVAILABLE; the exchange ends then as it would have */
  async judge(credential: Credential): Promise<void> {
    const line = { auditID: exchangeIdText(credential.exchangeId), cluster: credential.cluster };
    try {
      const caller = await this.#callers.authenticate(credential.token, asRequest(credential));
      const exchange = this.#exchanges.find(credential, caller); // only now: it may have ended meanwhile
      exchange.caller = caller;
      exchange.ends.atMs = caller.expiresAtMs;
      this.#log.info({ ...line, user: caller.user, until: new Date(caller.expiresAtMs) }, "request carried on");
    } catch (error) {
      const { code, message } = FairleadError.from(error, Hop.IDENTITY_PROXY);
      this.#log.info({ ...line, refused: errorCodeName(code), reason: message }, "credential refused");
      throw error;
    }
  }
}

/** As what a credential's proof is judged. */
function asRequest(credential: Credential): RequestHead {
  const headers = credential.proof === "" ? [] : [header("DPoP", credential.proof)];
  return create(RequestHeadSchema, { ...provenCredential(credential), headers });
}
