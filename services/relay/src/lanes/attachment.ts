import { randomBytes } from "node:crypto";
import type { AgentFrameSchema, FairleadError, FrameStream, Lane, RelayFrameSchema } from "@fairlead/protocol";

/** How long a lane beyond the idle ones is kept, in milliseconds. */
const SURPLUS_LANE_MS = 10_000;
/** How many idle lanes an agent keeps. */
export const IDLE_LANES = 2;

/** One agent's attachment: its control stream and the lanes that it offers. */
export class Attachment {
  readonly cluster: string;
  readonly agentVersion: string;
  /** What the agent puts in each lane's `ready`. */
  readonly sessionId: Buffer = randomBytes(32);
  readonly #control: FrameStream<typeof RelayFrameSchema, typeof AgentFrameSchema>;
  readonly #idle: { lane: Lane; sinceMs: number }[] = [];
  readonly #lanes = new Set<Lane>();
  readonly #trim: NodeJS.Timeout;
  #draining = false;
  /** Why the agent cannot serve; undefined if it can. */
  problem: FairleadError | undefined;

  constructor(
    cluster: string,
    agentVersion: string,
    control: FrameStream<typeof RelayFrameSchema, typeof AgentFrameSchema>,
  ) {
    this.cluster = cluster;
    this.agentVersion = agentVersion;
    this.#control = control;
    this.#trim = setInterval(() => this.#endSurplus(), SURPLUS_LANE_MS / 2);
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
    for (let entry = this.#idle.pop(); entry; entry = this.#idle.pop()) if (!entry.lane.closed) return entry.lane;
    return undefined;
  }

  /** A lane came. */
  add(lane: Lane): void {
    this.#lanes.add(lane);
    lane.onClose(() => this.#forget(lane));
  }

  /** A lane has no exchange, or none any more. Its owner is this attachment until it is taken. */
  keep(lane: Lane): void {
    this.#idle.push({ lane, sinceMs: Date.now() });
    lane.start({
      frame: () => {}, // none is legal between exchanges: the lane's order refuses it
      drained: () => {},
      idle: () => {},
      closed: () => {},
    });
    lane.resume();
  }

  #forget(lane: Lane): void {
    this.#lanes.delete(lane);
    const at = this.#idle.findIndex((entry) => entry.lane === lane);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Asks the agent for more lanes. */
  demand(lanes: number): void {
    if (lanes > 0) this.#control.send({ frame: { case: "laneDemand", value: { lanes } } });
  }

  /** Answers a heartbeat. */
  heartbeat(): void {
    this.#control.send({ frame: { case: "heartbeat", value: {} } });
  }

  /** The agent said that it is stopping: it gets no new exchange. */
  agentDrains(): void {
    this.#draining = true;
  }

  /** Tells the agent that the relay is stopping. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#control.send({ frame: { case: "drain", value: {} } });
  }

  /** Ends the attachment and all its lanes. */
  end(reason: FairleadError): void {
    clearInterval(this.#trim);
    this.#draining = true;
    for (const lane of this.#lanes) lane.reset(reason);
    this.#control.refuse(reason);
  }

  #endSurplus(): void {
    const before = Date.now() - SURPLUS_LANE_MS;
    const surplus = this.#idle
      .filter(({ sinceMs }) => sinceMs < before)
      .slice(0, Math.max(0, this.#idle.length - IDLE_LANES));
    for (const { lane } of surplus) {
      this.#forget(lane);
      lane.end();
    }
  }
}
