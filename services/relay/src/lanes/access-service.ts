import type { ServerHttp2Stream } from "node:http2";
import { bearerToken, LiveExchanges, type Subject } from "@fairlead/authentication";
import { tokenExpired } from "@fairlead/authorization";
import {
  answerCredential,
  decodeRequest,
  ErrorCode,
  FairleadError,
  failExchange,
  GrpcServerStream,
  Hop,
  Lane,
  type RequestHead,
  requestHeadOf,
  splice,
  streamPair,
} from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Admission } from "../access/admission.ts";
import type { ExchangeLimits } from "../limits/exchange-limits.ts";
import type { Attachments, TakenLane } from "./attachments.ts";
import { CarryOn, type Exchange } from "./carry-on.ts";

/** The frame that opens an exchange, and when it came, from `performance.now()`. */
interface OpeningFrame {
  message: Uint8Array;
  receivedAt: number;
}

/** Serves the lanes of clients: admits each exchange within the limits and joins it to a lane of the cluster's agent. */
export class AccessServiceHandler {
  readonly #admission: Admission;
  readonly #limits: ExchangeLimits;
  readonly #attachments: Attachments;
  readonly #log: Logger;
  readonly #lanes = new Set<Lane>();
  readonly #exchanges = new Set<Exchange>();
  readonly #byId = new LiveExchanges<Exchange>(Hop.RELAY);
  readonly #carryOn: CarryOn;

  constructor(admission: Admission, limits: ExchangeLimits, attachments: Attachments, log: Logger) {
    this.#admission = admission;
    this.#limits = limits;
    this.#attachments = attachments;
    this.#log = log;
    this.#carryOn = new CarryOn(admission, limits, attachments, this.#byId);
  }

  get counts(): { client_lanes: number; exchanges: number } {
    return { client_lanes: this.#lanes.size, exchanges: this.#exchanges.size };
  }

  /** `AccessService.Exchange`. */
  exchange(stream: ServerHttp2Stream): void {
    this.#serve(new Lane(new GrpcServerStream(stream, Hop.CLIENT_PROXY), "server", Hop.CLIENT_PROXY));
  }

  /** @returns the requester's end of a lane from within this relay; what comes on it is judged as what comes on any */
  openLane(): Lane {
    const [near, far] = streamPair();
    this.#serve(new Lane(far, "server", Hop.RELAY));
    return new Lane(near, "requester", Hop.RELAY);
  }

  #serve(lane: Lane): void {
    this.#lanes.add(lane);
    lane.onClose(() => this.#lanes.delete(lane));
    this.#awaitRequest(lane);
    lane.sendReady();
  }

  /** Cuts the exchanges that are not admitted any more, after rules or clusters were changed. */
  recheck(): void {
    for (const live of this.#exchanges) this.#judgeAgain(live);
  }

  /** Cuts the exchanges whose token, or all rules that admitted them, have expired. @param nowMs since the epoch */
  endExpired(nowMs: number): void {
    for (const live of this.#exchanges) if (live.untilMs <= nowMs) this.#judgeAgain(live);
  }

  /** Cuts all exchanges. Clients that wait hear why, and so does whoever runs a command. */
  cutAll(reason: FairleadError): void {
    for (const live of this.#exchanges) live.cut(reason);
  }

  #judgeAgain(live: Exchange): void {
    try {
      if (live.caller.expiresAtMs <= Date.now()) throw tokenExpired(Hop.RELAY);
      live.untilMs = this.#admission.admitExchange(live.caller, live.request);
    } catch (error) {
      live.cut(FairleadError.from(error, Hop.RELAY));
    }
  }

  /** How many lanes have an exchange, be it one that still waits for its agent. */
  get busyLanes(): number {
    return [...this.#lanes].filter((lane) => lane.inExchange).length;
  }

  /** How many lanes have no exchange. */
  get idleLanes(): number {
    return this.#lanes.size - this.busyLanes;
  }

  /** Ends the lanes that have no exchange, whose clients have not done so though the relay is stopping. */
  endIdle(): void {
    for (const lane of this.#lanes) if (!lane.inExchange) lane.end();
  }

  #awaitRequest(lane: Lane): void {
    const nothing = (): void => {};
    lane.start({
      frame: (_field, message) => this.#onRequest(lane, { message, receivedAt: performance.now() }),
      drained: nothing,
      idle: nothing,
      closed: nothing,
    });
    lane.resume();
  }

  #onRequest(lane: Lane, opening: OpeningFrame): void {
    try {
      const frame = decodeRequest(opening.message);
      if (frame.case === "credential") {
        return void answerCredential(lane, frame.value, Hop.RELAY, (credential) => this.#carryOn.judge(credential));
      }
      const head = requestHeadOf(frame, lane.peerHop);
      const token = credentialOf(head);
      const subject = this.#admission.known(token);
      if (subject && this.#openAtOnce(lane, head, subject, opening)) return;
      this.#openLater(lane, head, token, opening).catch((error: unknown) => this.#refuse(lane, error));
    } catch (error) {
      this.#refuse(lane, error);
    }
  }

  /** The short way, for a token that was judged just before and a cluster with an idle lane. */
  #openAtOnce(lane: Lane, head: RequestHead, subject: Subject, opening: OpeningFrame): boolean {
    const untilMs = this.#admission.admitExchange(subject, head);
    const taken = this.#attachments.takeIdle(head.cluster);
    if (taken === undefined) return false;
    try {
      const leave = this.#limits.take(subject.user, head.cluster);
      this.#join(lane, head, taken, { caller: subject, untilMs }, leave)(opening.message, opening.receivedAt);
    } catch (error) {
      this.#attachments.offer(taken);
      throw error;
    }
    return true;
  }

  /** The long way: the token has to be judged, or an agent to open a lane. The client's lane is not read meanwhile. */
  async #openLater(lane: Lane, head: RequestHead, token: string | undefined, opening: OpeningFrame): Promise<void> {
    const early = [opening.message]; // and what one read brought beside it
    const gone = new AbortController();
    lane.start({
      frame: (_field, message) => void early.push(message),
      drained: () => {},
      idle: () => {},
      closed: () => gone.abort(),
    });
    lane.pause();
    const subject = await this.#admission.authenticate(token);
    this.#admission.admitExchange(subject, head);
    const leave = this.#limits.take(subject.user, head.cluster);
    try {
      const { taken, untilMs } = await this.#admittedLane(subject, head, gone.signal);
      if (lane.closed) {
        leave();
        return this.#attachments.offer(taken);
      }
      const passRequest = this.#join(lane, head, taken, { caller: subject, untilMs }, leave);
      for (const frame of early) passRequest(frame, opening.receivedAt);
      lane.resume();
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #admittedLane(
    subject: Subject,
    head: RequestHead,
    gone: AbortSignal,
  ): Promise<{ taken: TakenLane; untilMs: number }> {
    const taken = await this.#takeLane(head.cluster, gone);
    try {
      const untilMs = this.#admission.admitExchange(subject, head); // what let it in may have gone while it waited
      return { taken, untilMs };
    } catch (error) {
      this.#attachments.offer(taken);
      throw error;
    }
  }

  /** A lane that closed between being chosen and being taken is passed over: nothing was sent on it. */
  async #takeLane(cluster: string, gone: AbortSignal): Promise<TakenLane> {
    for (;;) {
      const taken = await this.#attachments.take(cluster, gone);
      if (!taken.lane.closed) return taken;
    }
  }

  /** @param leave called when the exchange has ended, perhaps more than once */
  #join(
    lane: Lane,
    head: RequestHead,
    taken: TakenLane,
    admitted: Pick<Exchange, "caller" | "untilMs">,
    leave: () => void,
  ): (message: Uint8Array, receivedAt: number) => void {
    const { cluster, method, target, upgrade, scope } = head;
    this.#log.debug({ exchange: head.exchangeId, user: admitted.caller.user, cluster }, "exchange");
    const request = { cluster, method, target, upgrade, scope };
    const { attachment } = taken;
    const live: Exchange = { ...admitted, request, attachment, cut: (reason) => taken.lane.reset(reason) };
    const forget = this.#byId.begin(head, live);
    const ended = (): void => {
      this.#exchanges.delete(live);
      forget();
      leave();
    };
    this.#exchanges.add(live);
    const joined = splice(lane, taken.lane, {
      hop: Hop.RELAY,
      inboundIdle: () => this.#awaitRequest(lane),
      outboundIdle: () => {
        ended();
        this.#attachments.offer(taken);
      },
      closed: ended,
    });
    return joined.request;
  }

  #refuse(lane: Lane, error: unknown): void {
    const refusal = FairleadError.from(error, Hop.RELAY);
    if (refusal.code === ErrorCode.INTERNAL) this.#log.error({ err: error }, "an exchange failed");
    failExchange(lane, refusal);
    if (!lane.closed && !lane.inExchange) this.#awaitRequest(lane);
  }
}

/** The caller's own token, as the cluster will see it. */
function credentialOf(head: RequestHead): string | undefined {
  const header = head.headers.find(({ name }) => name.toLowerCase() === "authorization");
  return header && bearerToken(Buffer.from(header.value).toString("latin1"));
}
