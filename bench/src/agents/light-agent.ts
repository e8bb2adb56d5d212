import type { AgentIdentity } from "@fairlead/agent-identity";
import {
  AgentFrameSchema,
  ErrorCode,
  FairleadError,
  FrameStream,
  GrpcClientStream,
  GrpcConnection,
  Hop,
  Lane,
  methodPath,
  type PeerAddress,
  type Registered,
  RelayFrameSchema,
  TunnelService,
} from "@fairlead/protocol";

const ATTACH_PATH = methodPath(TunnelService.method.attach);
const SERVE_PATH = methodPath(TunnelService.method.serve);
/** As the real agent waits between attempts, in milliseconds: doubling, with jitter. */
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 3_000;
/** As the real agent has it. */
const MISSED_HEARTBEATS = 3;

/** Whom an agent tells. */
export interface LightAgentEvents {
  attached(): void;
  /** It is not attached any more, or could not be; it tries again. */
  lost(error: FairleadError | undefined): void;
}

/**
 * An agent that serves nothing: it dials a relay by the real contract, keeps the idle lanes that the relay wants and
 * beats, and dials again as the real one does when it was lost.
 */
export class LightAgent {
  readonly #address: () => PeerAddress;
  readonly #identity: AgentIdentity;
  readonly #events: LightAgentEvents;
  #attempt = 0;
  #stopped = false;
  #stop = (): void => {};

  constructor(address: () => PeerAddress, identity: AgentIdentity, events: LightAgentEvents) {
    this.#address = address;
    this.#identity = identity;
    this.#events = events;
  }

  /** Dials; again and again until {@link stop}. */
  start(): void {
    void this.#identity.prove(TunnelService.method.attach).then((proof) => this.#attach(proof));
  }

  #attach(proof: string): void {
    if (this.#stopped) return;
    const connection = new GrpcConnection(this.#address);
    const stream = new GrpcClientStream(connection, ATTACH_PATH, { token: proof, peerHop: Hop.RELAY });
    const control = new FrameStream(stream, AgentFrameSchema, RelayFrameSchema, Hop.RELAY);
    let heartbeat: NodeJS.Timeout | undefined;
    let unanswered = 0;
    const beat = (): void => {
      if (unanswered++ < MISSED_HEARTBEATS) control.send({ frame: { case: "heartbeat", value: {} } });
      else control.reset(new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "heartbeats stay unanswered"));
    };
    control.start({
      frame: ({ frame }) => {
        if (frame.case === "heartbeat") unanswered = 0;
        if (frame.case !== "registered") return;
        heartbeat = setInterval(beat, frame.value.heartbeatIntervalMs);
        this.#onRegistered(connection, frame.value);
      },
      closed: (error) => {
        clearInterval(heartbeat);
        connection.close();
        this.#onClosed(error);
      },
    });
    control.send({ frame: { case: "register", value: { agentVersion: "0.1.0" } } });
    this.#stop = () => control.reset(new FairleadError(ErrorCode.DRAINING, Hop.AGENT, "the agent is stopping"));
  }

  stop(): void {
    this.#stopped = true;
    this.#stop();
  }

  #onRegistered(connection: GrpcConnection, { sessionId, idleLanes }: Registered): void {
    this.#attempt = 0;
    const nothing = (): void => {};
    for (let i = 0; i < idleLanes; i++) {
      const lane = new Lane(new GrpcClientStream(connection, SERVE_PATH, { peerHop: Hop.RELAY }), "server", Hop.RELAY);
      lane.start({ frame: nothing, drained: nothing, idle: nothing, closed: nothing });
      lane.sendReady(sessionId);
    }
    this.#events.attached();
  }

  #onClosed(error: FairleadError | undefined): void {
    if (this.#stopped) return;
    this.#events.lost(error);
    const ceilingMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempt++);
    setTimeout(() => this.start(), ceilingMs * (0.5 + Math.random() / 2));
  }
}
