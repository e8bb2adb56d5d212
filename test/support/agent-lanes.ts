import { X509Certificate } from "node:crypto";
import type { ServerHttp2Stream } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { clusterOf } from "@fairlead/agent-identity";
import {
  AgentFrameSchema,
  decodeResponse,
  ErrorCode,
  FairleadError,
  FrameStream,
  GrpcServerStream,
  Hop,
  IDLE_LANES,
  RelayFrameSchema,
  type RequestFrame,
  RequestFrameSchema,
  type ResponseFrame,
} from "@fairlead/protocol";
import { decodeProtectedHeader } from "jose";
import { eventually } from "./eventually.ts";

const HEARTBEAT_INTERVAL_MS = 10_000;

/** What a lane's taker hears. */
export interface TakerEvents {
  frame(frame: ResponseFrame["frame"]): void;
  /** The agent ended the lane, in whatever way. */
  closed(): void;
}

/** A lane of an agent's, for one exchange. Nothing checks what is sent on it: that is the agent's affair. */
export class AgentLane {
  readonly #call: GrpcServerStream;
  #events: TakerEvents | undefined;
  #closed = false;

  /** @param offered hears the session that the lane names */
  constructor(stream: ServerHttp2Stream, offered: (lane: AgentLane, sessionId: Uint8Array) => void) {
    this.#call = new GrpcServerStream(stream, Hop.AGENT);
    this.#call.start({
      message: (message) => {
        const frame = decodeResponse(message);
        if (frame.case === "ready") offered(this, frame.value.sessionId);
        else this.#events?.frame(frame);
      },
      ended: () => this.#call.end(),
      drained: () => {},
      closed: () => {
        this.#closed = true;
        this.#events?.closed();
      },
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  take(events: TakerEvents): void {
    this.#events = events;
  }

  send(frame: RequestFrame["frame"]): void {
    this.sendBytes(toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame })));
  }

  /** Sends a message that may be no frame at all. */
  sendBytes(message: Uint8Array): void {
    this.#call.send(message);
  }

  end(): void {
    this.#call.end();
  }

  reset(): void {
    this.#call.reset(new FairleadError(ErrorCode.CANCELLED, Hop.AGENT, "the relay wants no more of it"));
  }
}

/** The agents that have attached to a relay, whoever certified them, and the lanes that they have open. */
export class AgentLanes {
  readonly #sessions = new Map<string, string>();
  readonly #idle: { cluster: string; lane: AgentLane }[] = [];
  /** How often an agent has attached, by cluster. */
  readonly attached: Record<string, number> = {};

  /** `TunnelService.Attach`. */
  attach(stream: ServerHttp2Stream, authorization = ""): void {
    const [certificate = ""] = decodeProtectedHeader(authorization.replace("Bearer ", "")).x5c ?? [];
    const cluster = clusterOf(new X509Certificate(Buffer.from(certificate, "base64"))) ?? "";
    const call = new GrpcServerStream(stream, Hop.AGENT);
    const control = new FrameStream(call, RelayFrameSchema, AgentFrameSchema, Hop.AGENT);
    const sessionId = crypto.getRandomValues(new Uint8Array(32));
    control.start({
      frame: ({ frame }) => {
        if (frame.case === "heartbeat") return control.send({ frame: { case: "heartbeat", value: {} } });
        if (frame.case !== "register") return;
        this.attached[cluster] = (this.attached[cluster] ?? 0) + 1;
        this.#sessions.set(Buffer.from(sessionId).toString("hex"), cluster);
        const value = { sessionId, cluster, heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS, idleLanes: IDLE_LANES };
        control.send({ frame: { case: "registered", value } });
      },
      closed: () => {},
    });
  }

  /** `TunnelService.Serve`. */
  serve(stream: ServerHttp2Stream): void {
    new AgentLane(stream, (lane, sessionId) => {
      const cluster = this.#sessions.get(Buffer.from(sessionId).toString("hex"));
      if (cluster !== undefined) this.#idle.push({ cluster, lane });
    });
  }

  /** A lane of a cluster's agent, when there is one. */
  take(cluster: string, events: TakerEvents): Promise<AgentLane> {
    const find = (): AgentLane | undefined => {
      const at = this.#idle.findIndex((each) => each.cluster === cluster && !each.lane.closed);
      return at < 0 ? undefined : this.#idle.splice(at, 1)[0]?.lane;
    };
    return eventually(find, { what: `a lane of the agent of ${cluster}` }).then((lane) => {
      lane.take(events);
      return lane;
    });
  }
}
