import { createHash } from "node:crypto";
import { create, equals } from "@bufbuild/protobuf";
import {
  AgentFrameSchema,
  type Condition,
  ConditionSchema,
  ErrorCode,
  type ErrorMessage,
  FairleadError,
  FrameStream,
  GrpcClientStream,
  type GrpcConnection,
  Hop,
  LANE_WAY_METADATA,
  MAX_AGENT_LANES,
  methodPath,
  REQUESTER_ENDS_MS,
  type Registered,
  type RelayFrame,
  RelayFrameSchema,
  stopped,
  TunnelService,
} from "@fairlead/protocol";
import { Backoff } from "./backoff.ts";
import { identityProxyAway } from "./cluster-health.ts";
import { LanePair } from "./lane-pair.ts";

const ATTACH_PATH = methodPath(TunnelService.method.attach);
/** A relay that leaves this many heartbeats unanswered is gone. */
const MISSED_HEARTBEATS = 3;
/** Characters of a session's name. */
const SESSION_NAME_LENGTH = 16;

/** What a session needs, and whom it tells. */
export interface SessionOptions {
  relay: GrpcConnection;
  /** The relay as the agent dials it, for the cluster's audit log: printable ASCII. */
  relayName: string;
  identityProxy: GrpcConnection;
  /** Proves the agent's key. */
  proof: string;
  version: string;
  clusterUid: string;
  /** Whether requests would get through, as it is known when the session begins. */
  condition: Condition | undefined;
  registered(): void;
  /** The identity proxy serves again after it did not. */
  lanesOpened(): void;
  /** The relay is stopping: attach anew. */
  draining(): void;
  closed(error: FairleadError | undefined): void;
}

/** One attachment to a relay: its control stream and its lanes. */
export class Session {
  readonly #options: SessionOptions;
  readonly #control: FrameStream<typeof AgentFrameSchema, typeof RelayFrameSchema>;
  readonly #pairs = new Set<LanePair>();
  /** Those of them that have an exchange: thousands of watches are not counted anew for each request. */
  readonly #busy = new Set<LanePair>();
  readonly #retry = new Backoff();
  #registered: Registered | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #unanswered = 0;
  /** Why no lane can be opened. */
  #problem: ErrorMessage | undefined;
  #condition: Condition | undefined;
  /** What the relay was told last. */
  #sent: Condition | undefined;
  /** The relay is stopping, and asks for lanes still. */
  #moving = false;
  #ending = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#condition = options.condition;
    const stream = new GrpcClientStream(options.relay, ATTACH_PATH, { token: options.proof, peerHop: Hop.RELAY });
    this.#control = new FrameStream(stream, AgentFrameSchema, RelayFrameSchema, Hop.RELAY);
    this.#control.start({ frame: (frame) => this.#onFrame(frame), closed: (error) => this.#onClosed(error) });
    this.#control.send({
      frame: { case: "register", value: { agentVersion: options.version, clusterUid: options.clusterUid } },
    });
  }

  get counts(): { lanes: number; exchanges: number } {
    return { lanes: this.#pairs.size, exchanges: this.#busy.size };
  }

  /** Why the session cannot serve; undefined if it can. */
  get problem(): string | undefined {
    return this.#registered ? this.#problem?.message : "not attached to the relay";
  }

  /** Tells the relay whether requests would get through. */
  report(condition: Condition): void {
    this.#condition = condition;
    if (this.#registered) this.#sendCondition();
  }

  #sendCondition(): void {
    const problem = this.#problem ?? this.#condition?.problem;
    const condition = create(ConditionSchema, { problem, report: this.#condition?.report });
    if (this.#sent && equals(ConditionSchema, condition, this.#sent)) return;
    this.#sent = condition;
    this.#control.send({ frame: { case: "condition", value: condition } });
  }

  /**
   * Asks the relay for no new exchange, and closes when those under way have ended and the relay has ended the idle lanes.
   *
   * @param graceMs how long that may take, in milliseconds
   */
  async drain(graceMs: number): Promise<void> {
    if (this.#registered && !this.#ending) this.#control.send({ frame: { case: "drain", value: {} } });
    this.#ending = true;
    const begun = Date.now();
    while (this.#pairs.size > 0 && Date.now() < begun + graceMs) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (this.#busy.size === 0 && Date.now() > begun + REQUESTER_ENDS_MS) break;
    }
    const stopping = new FairleadError(ErrorCode.DRAINING, Hop.AGENT, "the agent is stopping");
    for (const pair of this.#pairs) pair.end(stopped(Hop.AGENT));
    this.#control.end();
    this.#control.reset(stopping);
  }

  #onFrame({ frame }: RelayFrame): void {
    switch (frame.case) {
      case "registered":
        this.#registered = frame.value;
        this.#heartbeat = setInterval(() => this.#beat(), Math.max(1_000, frame.value.heartbeatIntervalMs));
        this.#options.registered();
        if (this.#condition) this.#sendCondition();
        return this.#keepIdleLanes();
      case "heartbeat":
        this.#unanswered = 0;
        return;
      case "laneDemand":
        return this.#open(frame.value.lanes);
      case "drain":
        this.#moving = true;
        return this.#options.draining();
      case undefined:
        return;
    }
  }

  #beat(): void {
    if (this.#unanswered++ < MISSED_HEARTBEATS) return this.#control.send({ frame: { case: "heartbeat", value: {} } });
    this.#control.reset(
      new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "the relay does not answer heartbeats"),
    );
  }

  /** Opens what is missing of the idle lanes that the relay wants, so that the next request finds one. */
  #keepIdleLanes(): void {
    if (this.#moving) return;
    const wanted = this.#registered?.idleLanes ?? 0;
    this.#open(wanted - (this.#pairs.size - this.#busy.size));
  }

  /** What the relay may ask for is bounded here too. */
  #open(count: number): void {
    const { relay, relayName, identityProxy } = this.#options;
    if (!this.#registered || this.#ending) return;
    const { sessionId } = this.#registered;
    const way = { [LANE_WAY_METADATA.relay]: relayName, [LANE_WAY_METADATA.session]: sessionName(sessionId) };
    for (let i = 0; i < count && this.#pairs.size < MAX_AGENT_LANES; i++) {
      const pair: LanePair = new LanePair({
        relay,
        identityProxy,
        sessionId,
        way,
        opened: () => this.#onOpened(),
        busy: () => {
          this.#busy.add(pair);
          this.#keepIdleLanes();
        },
        idle: () => this.#busy.delete(pair),
        closed: (closed, unserved) => this.#onPairClosed(closed, unserved),
      });
      this.#pairs.add(pair);
    }
  }

  #onOpened(): void {
    this.#retry.reset();
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    // What was found while the identity proxy was away is out of date.
    if (this.#condition?.problem?.hop === Hop.IDENTITY_PROXY)
      this.#condition = { ...this.#condition, problem: undefined };
    this.#sendCondition();
    this.#options.lanesOpened();
  }

  #onPairClosed(pair: LanePair, unserved: FairleadError | undefined): void {
    this.#pairs.delete(pair);
    this.#busy.delete(pair);
    if (this.#ending) return;
    if (unserved && this.#problem === undefined) this.#reportUnserved(unserved);
    // One that was closed unused is not opened again at once: whoever closed it may close the next as well.
    if (pair.used) return this.#keepIdleLanes();
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined;
      this.#keepIdleLanes();
    }, this.#retry.next());
  }

  #reportUnserved(cause: FairleadError): void {
    this.#problem = identityProxyAway(cause);
    this.#sendCondition();
  }

  #onClosed(error: FairleadError | undefined): void {
    this.#ending = true;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retryTimer);
    const lost = error ?? new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "the relay ended the control stream");
    for (const pair of this.#pairs) pair.end(lost);
    this.#options.closed(error);
  }
}

/** The session's id is a secret: whoever has it may offer lanes in this agent's name. Its digest names it as well. */
function sessionName(sessionId: Uint8Array): string {
  return createHash("sha256").update(sessionId).digest("hex").slice(0, SESSION_NAME_LENGTH);
}
