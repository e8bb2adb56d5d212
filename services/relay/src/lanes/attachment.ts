import { randomBytes } from "node:crypto";
import {
  type AgentFrameSchema,
  type ClusterReport,
  type FairleadError,
  type FrameStream,
  IdleLanes,
  type Lane,
  type RelayFrameSchema,
} from "@fairlead/protocol";

/** One agent's attachment: its control stream and the lanes that it offers. */
export class Attachment {
  readonly cluster: string;
  /** The joining that its agent attached by. */
  readonly joinId: string;
  readonly agentVersion: string;
  /** What the agent puts in each lane's `ready`. */
  readonly sessionId: Buffer = randomBytes(32);
  readonly #control: FrameStream<typeof RelayFrameSchema, typeof AgentFrameSchema>;
  readonly #lanes = new Set<Lane>();
  readonly #idle = new IdleLanes((lane) => this.#lanes.delete(lane));
  /** Since the epoch. */
  readonly startedAtMs = Date.now();
  #draining = false;
  #isSilent = false;
  /** Why the agent cannot serve; undefined if it can. */
  problem: FairleadError | undefined;
  /** Whether the agent has said that it can, or why not. */
  hasLooked = false;
  /** What the agent knows of the cluster. */
  report: ClusterReport | undefined;

  constructor(
    cluster: string,
    joinId: string,
    agentVersion: string,
    control: FrameStream<typeof RelayFrameSchema, typeof AgentFrameSchema>,
  ) {
    this.cluster = cluster;
    this.joinId = joinId;
    this.agentVersion = agentVersion;
    this.#control = control;
  }

  get laneCount(): number {
    return this.#lanes.size;
  }

  /** Whether the agent takes new exchanges. */
  get accepts(): boolean {
    return !this.#draining;
  }

  /** The lane that was used last, if one is idle: it is the warmest. */
  take(): Lane | undefined {
    return this.#idle.take();
  }

  /** A lane came. */
  add(lane: Lane): void {
    this.#lanes.add(lane);
    lane.onClose(() => this.#forget(lane));
  }

  /**
   * A lane has no exchange, or none any more. Its owner is this attachment until it is taken. Once nothing new is to
   * come, it is ended: by us, since the agent cannot know that no request is on its way.
   */
  keep(lane: Lane): void {
    if (this.#draining) this.#idle.retire([lane]);
    this.#idle.keep(lane);
  }

  #forget(lane: Lane): void {
    this.#lanes.delete(lane);
    this.#idle.forget(lane);
  }

  /** Asks the agent for more lanes. */
  demand(lanes: number): void {
    if (lanes > 0) this.#control.send({ frame: { case: "laneDemand", value: { lanes } } });
  }

  /** Answers a heartbeat. */
  heartbeat(): void {
    this.#control.send({ frame: { case: "heartbeat", value: {} } });
  }

  /** It gets no new exchange: the agent said that it is stopping, or the relay is. */
  retire(): void {
    this.#draining = true;
    this.#idle.retire(this.#lanes);
  }

  /** Tells the agent that the relay is stopping. */
  handOver(): void {
    if (!this.#draining) this.#control.send({ frame: { case: "drain", value: {} } });
  }

  /** Whether its connection, when it ends now, is lost: neither side has ended it. */
  get isLost(): boolean {
    return this.#isSilent || !this.#draining;
  }

  /** The agent has fallen silent: its connection is gone, whatever the network says. Ends the attachment. */
  fallenSilent(reason: FairleadError): void {
    this.#isSilent = true;
    this.end(reason);
  }

  /** Ends the attachment and all its lanes. */
  end(reason: FairleadError): void {
    this.#idle.stop();
    this.#draining = true;
    for (const lane of this.#lanes) lane.reset(reason);
    this.#control.refuse(reason);
  }
}
