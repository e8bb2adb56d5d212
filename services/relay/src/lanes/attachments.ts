import { ErrorCode, FairleadError, Hop, IDLE_LANES, type Lane, Patience } from "@fairlead/protocol";
import type { Attachment } from "./attachment.ts";

/** An exchange that waits for a lane. */
interface Waiting {
  resolve(taken: TakenLane): void;
  reject(error: FairleadError): void;
}

/** A lane to an agent, and the attachment that it goes back to. */
export interface TakenLane {
  lane: Lane;
  attachment: Attachment;
}

/** The agents that are attached now, by cluster, and the exchanges that wait for them. */
export class Attachments {
  readonly #byCluster = new Map<string, Attachment[]>();
  readonly #bySession = new Map<string, Attachment>();
  readonly #waiting = new Map<string, Waiting[]>();
  /** For clusters whose agent is away. */
  readonly #patience = new Map<string, Patience>();
  #handingOver = false;
  #draining = false;

  /** The attachments of a cluster. */
  of(cluster: string): readonly Attachment[] {
    return this.#byCluster.get(cluster) ?? [];
  }

  all(): Attachment[] {
    return [...this.#bySession.values()];
  }

  /** The attachment that a lane's `ready` names. */
  ofSession(sessionId: Uint8Array): Attachment | undefined {
    return this.#bySession.get(Buffer.from(sessionId).toString("hex"));
  }

  get waitingCount(): number {
    return [...this.#waiting.values()].reduce((sum, waiting) => sum + waiting.length, 0);
  }

  /** An agent attached. What waits for its cluster is asked for beyond the idle lanes that it opens anyway. */
  add(attachment: Attachment): void {
    const { cluster, sessionId } = attachment;
    this.#bySession.set(sessionId.toString("hex"), attachment);
    this.#patience.delete(cluster);
    this.#byCluster.set(cluster, [attachment, ...this.of(cluster)]); // the newest is surest to live
    attachment.demand((this.#waiting.get(cluster)?.length ?? 0) - IDLE_LANES);
  }

  /** An agent is gone. */
  remove(attachment: Attachment): void {
    const { cluster, sessionId } = attachment;
    this.#bySession.delete(sessionId.toString("hex"));
    const left = this.of(cluster).filter((other) => other !== attachment);
    if (left.length > 0) this.#byCluster.set(cluster, left);
    else this.#byCluster.delete(cluster);
  }

  /** The relay is stopping: agents are told to attach elsewhere, and none is taken in. What comes is served still. */
  handOver(): void {
    this.#handingOver = true;
    for (const attachment of this.all()) attachment.handOver();
  }

  /** @throws FairleadError DRAINING if agents have to attach elsewhere */
  checkTakesAgents(): void {
    if (this.#handingOver) throw draining();
  }

  /** Nothing is served any more but what is under way: what waits for a lane is refused. */
  drain(): void {
    this.#draining = true;
    for (const attachment of this.all()) attachment.retire();
    for (const queue of this.#waiting.values()) for (const waiting of queue.splice(0)) waiting.reject(draining());
  }

  /** A lane is free: it serves the exchange that has waited longest, or is kept. */
  offer({ lane, attachment }: TakenLane): void {
    attachment.keep(lane);
    const queue = this.#waiting.get(attachment.cluster) ?? [];
    const taken = attachment.accepts && queue.length > 0 ? attachment.take() : undefined;
    if (taken) queue.shift()?.resolve({ lane: taken, attachment });
  }

  /** An idle lane to the cluster's agent, if there is one. @throws FairleadError DRAINING */
  takeIdle(cluster: string): TakenLane | undefined {
    if (this.#draining) throw draining();
    for (const attachment of this.of(cluster)) {
      const lane = attachment.accepts ? attachment.take() : undefined;
      if (lane) return { lane, attachment };
    }
    return undefined;
  }

  /**
   * A lane to the cluster's agent. One that is away is waited for as {@link Patience} says. How many wait is bounded by
   * the relay's limits: each has its place among its cluster's exchanges.
   *
   * @param signal ends the wait
   * @throws FairleadError AGENT_NOT_CONNECTED, TIMED_OUT, or what the agent says is wrong with it
   */
  async take(cluster: string, signal: AbortSignal): Promise<TakenLane> {
    const idle = this.takeIdle(cluster);
    if (idle) return idle;
    const agents = this.of(cluster).filter((attachment) => attachment.accepts);
    if (signal.aborted) throw clientGone();
    const patience = this.#patience.get(cluster) ?? new Patience();
    this.#patience.set(cluster, patience);
    const patienceMs = patience.begin();
    if (patienceMs === 0) throw this.#failure(cluster);
    const queue = this.#waiting.get(cluster) ?? [];
    this.#waiting.set(cluster, queue);
    for (const attachment of agents.slice(0, 1)) attachment.demand(1);
    return this.#wait(cluster, queue, patienceMs, signal);
  }

  async #wait(cluster: string, queue: Waiting[], patienceMs: number, signal: AbortSignal): Promise<TakenLane> {
    const { promise, resolve, reject } = Promise.withResolvers<TakenLane>();
    const waiting: Waiting = { resolve, reject };
    queue.push(waiting);
    const leave = (error: FairleadError): void => {
      const at = queue.indexOf(waiting);
      if (at >= 0) queue.splice(at, 1);
      reject(error);
    };
    const timer = setTimeout(() => {
      this.#patience.get(cluster)?.left(); // what comes right behind fails at once
      leave(this.#failure(cluster));
    }, patienceMs);
    const onAbort = (): void => leave(clientGone());
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const taken = await promise;
      this.#patience.delete(cluster);
      return taken;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Why there is no lane, as well as the relay knows. */
  #failure(cluster: string): FairleadError {
    const agents = this.of(cluster).filter((attachment) => attachment.accepts);
    const problem = agents.find((attachment) => attachment.problem)?.problem;
    if (problem) return problem;
    return agents.length === 0
      ? new FairleadError(
          ErrorCode.AGENT_NOT_CONNECTED,
          Hop.AGENT,
          `the agent of the cluster ${cluster} is not connected to the relay; check that it runs and reaches the relay`,
        )
      : new FairleadError(
          ErrorCode.TIMED_OUT,
          Hop.AGENT,
          `the agent of the cluster ${cluster} opened no lane in time; try again, and check its log if it stays so`,
        );
  }
}

function clientGone(): FairleadError {
  return new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "the client went away");
}

function draining(): FairleadError {
  return new FairleadError(ErrorCode.DRAINING, Hop.RELAY, "the relay is stopping; try again in a moment");
}
