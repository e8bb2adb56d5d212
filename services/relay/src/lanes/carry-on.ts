import type { LiveExchange, LiveExchanges } from "@fairlead/authentication";
import { type Credential, ErrorCode, FairleadError, Hop, type Lane, sendCredential } from "@fairlead/protocol";
import type { Admission, ExchangeRequest } from "../access/admission.ts";
import type { ExchangeLimits } from "../limits/exchange-limits.ts";
import type { Attachment } from "./attachment.ts";
import type { Attachments } from "./attachments.ts";

/** An exchange under way. */
export interface Exchange extends LiveExchange {
  request: ExchangeRequest;
  /** Whose agent carries it: no other can carry it on. */
  attachment: Attachment;
  /** When it is to be judged again, in milliseconds since the epoch. */
  untilMs: number;
  cut(reason: FairleadError): void;
}

/** After how long a credential for which there was no room may be sent again, in seconds. */
const RETRY_SECONDS = 1;

/**
 * Lets exchanges go on beyond the token that they were begun with, by a newer one of the same caller. The relay judges
 * it as it would the exchange itself, then asks the cluster, and believes it only a refusal.
 */
export class CarryOn {
  readonly #admission: Admission;
  readonly #limits: ExchangeLimits;
  readonly #attachments: Attachments;
  readonly #exchanges: LiveExchanges<Exchange>;
  /** Exchanges whose credential is under way: one each, so that these are bounded as exchanges are. */
  readonly #asked = new Set<Exchange>();

  constructor(
    admission: Admission,
    limits: ExchangeLimits,
    attachments: Attachments,
    exchanges: LiveExchanges<Exchange>,
  ) {
    this.#admission = admission;
    this.#limits = limits;
    this.#attachments = attachments;
    this.#exchanges = exchanges;
  }

  /** @throws FairleadError why the exchange does not go on by it; it ends then when it would have ended */
  async judge(credential: Credential): Promise<void> {
    const caller = await this.#admission.authenticate(credential.token);
    this.#limits.takeTurn(caller.user, credential.cluster);
    const exchange = this.#exchanges.find(credential, caller);
    this.#admission.admitExchange(caller, exchange.request);
    if (this.#asked.has(exchange)) throw busy(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, "is being judged already");
    this.#asked.add(exchange);
    try {
      await this.#askCluster(credential, exchange.attachment);
    } finally {
      this.#asked.delete(exchange);
    }
    exchange.untilMs = this.#admission.admitExchange(caller, exchange.request); // rules may be others by now
    exchange.caller = caller;
  }

  async #askCluster(credential: Credential, attachment: Attachment): Promise<void> {
    const lane = openLane(attachment);
    try {
      await sendCredential(lane, credential, Hop.AGENT);
    } finally {
      if (!lane.closed) this.#attachments.offer({ lane, attachment });
    }
  }
}

/** Agents keep idle lanes: where there is none, a lane more is asked for, and nobody waits. */
function openLane(attachment: Attachment): Lane {
  const lane = attachment.take();
  if (lane) return lane;
  if (attachment.accepts) attachment.demand(1);
  throw busy(ErrorCode.TIMED_OUT, Hop.AGENT, "cannot go on now, as the agent has no lane open for it");
}

function busy(code: ErrorCode, hop: Hop, what: string): FairleadError {
  return new FairleadError(code, hop, `the newer token ${what}; try again`, { retryAfterSeconds: RETRY_SECONDS });
}
