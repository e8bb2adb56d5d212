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

/** A lane to the relay, which says in its `ready` whose it is. */
class AgentLane extends Lane {
  readonly #sessionId: Uint8Array;

  constructor(connection: GrpcConnection, sessionId: Uint8Array) {
    super(new GrpcClientStream(connection, SERVE_PATH, { peerHop: Hop.RELAY }), "server", Hop.RELAY);
    this.#sessionId = sessionId;
  }

  override sendReady(): void {
    super.sendReady(this.#sessionId);
  }
}

/** An agent without a cluster: it has lanes, and nobody uses them. */
function serveNothing(lane: Lane): void {
  const nothing = (): void => {};
  lane.start({ frame: nothing, drained: nothing, idle: nothing, closed: nothing });
  lane.sendReady();
}

/**
 * An agent in little: it dials a relay by the real contract, keeps the idle lanes that the relay wants, opens those that it
 * asks for and beats, and dials again as the real one does when it was lost.
 */
export class LightAgent {
  readonly #address: () => PeerAddress;
  readonly #identity: AgentIdentity;
  readonly #events: LightAgentEvents;
  readonly #serve: (lane: Lane) => void;
  #sessionId: Uint8Array = new Uint8Array();
  #attempt = 0;
  #stopped = false;
  #stop = (): void => {};

  /** @param serve takes over each lane, and says on it that it is ready */
  constructor(
    address: () => PeerAddress,
    identity: AgentIdentity,
    events: LightAgentEvents,
    serve: (lane: Lane) => void = serveNothing,
  ) {
    this.#serve = serve;
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
        if (frame.case === "laneDemand") this.#open(connection, frame.value.lanes);
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
    this.#sessionId = sessionId;
    this.#open(connection, idleLanes);
    this.#events.attached();
  }

  #open(connection: GrpcConnection, lanes: number): void {
    for (let i = 0; i < lanes; i++) this.#serve(new AgentLane(connection, this.#sessionId));
  }

  #onClosed(error: FairleadError | undefined): void {
    if (this.#stopped) return;
    this.#events.lost(error);
    const ceilingMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempt++);
    setTimeout(() => this.start(), ceilingMs * (0.5 + Math.random() / 2));
  }
}
