import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  type AgentFrame,
  AgentFrameSchema,
  decodeResponse,
  type FairleadError,
  FrameStream,
  GrpcServerStream,
  Hop,
  LANE_SERVER_OPTIONS,
  Lane,
  methodPath,
  type PeerAddress,
  RelayFrameSchema,
  type ResponseFrame,
  TunnelService,
} from "@fairlead/protocol";
import { Mailbox } from "./mailbox-fixture.ts";

const ATTACH = methodPath(TunnelService.method.attach);
const SERVE = methodPath(TunnelService.method.serve);

/** The relay's end of an agent's control stream. */
export class AttachedAgent {
  readonly token: string | undefined;
  readonly sessionId: Uint8Array = crypto.getRandomValues(new Uint8Array(32));
  readonly control: FrameStream<typeof RelayFrameSchema, typeof AgentFrameSchema>;
  /** What the agent says, its `register` first. */
  readonly said = new Mailbox<AgentFrame["frame"]>();
  readonly closes = new Mailbox<FairleadError | undefined>();
  readonly #stream: GrpcServerStream;

  constructor(stream: ServerHttp2Stream, token: string | undefined) {
    this.token = token;
    this.#stream = new GrpcServerStream(stream, Hop.AGENT);
    this.control = new FrameStream(this.#stream, RelayFrameSchema, AgentFrameSchema, Hop.AGENT);
  }

  start(): void {
    this.control.start({ frame: ({ frame }) => this.said.put(frame), closed: (error) => this.closes.put(error) });
  }

  /** Takes the agent in. */
  accept(idleLanes = 2, heartbeatIntervalMs = 60_000): void {
    const value = { sessionId: this.sessionId, cluster: "prod", heartbeatIntervalMs, idleLanes };
    this.control.send({ frame: { case: "registered", value } });
  }

  /** Sends a message as it is, in order or not. */
  sendRaw(...bytes: number[]): void {
    this.#stream.send(Buffer.from(bytes));
  }

  demand(lanes: number): void {
    this.control.send({ frame: { case: "laneDemand", value: { lanes } } });
  }
}

/** The relay's end of a lane of an agent's. */
export class OfferedLane {
  readonly lane: Lane;
  readonly sessionId: Uint8Array;
  readonly responses = new Mailbox<ResponseFrame["frame"]>();
  readonly closes = new Mailbox<FairleadError | undefined>();

  constructor(lane: Lane, sessionId: Uint8Array) {
    this.lane = lane;
    this.sessionId = sessionId;
    lane.start({
      frame: (_field, message) => this.responses.put(decodeResponse(message)),
      drained: () => {},
      idle: () => {},
      closed: (error) => this.closes.put(error),
    });
  }

  /** Sends a whole request. */
  request(body: string): void {
    const head = {
      $typeName: "fairlead.tunnel.v1alpha1.RequestHead" as const,
      exchangeId: crypto.getRandomValues(new Uint8Array(16)),
      cluster: "prod",
      method: "GET",
      target: "/",
      headers: [],
      upgrade: "",
      wantsTimings: false,
      client: "",
    };
    const $typeName = "fairlead.tunnel.v1alpha1.WholeRequest";
    this.lane.sendRequest({ case: "whole", value: { $typeName, head, body: Buffer.from(body), trailers: [] } });
  }

  /** The body of the whole response that comes next. */
  async answer(): Promise<string> {
    const frame = await this.responses.take();
    if (frame.case !== "whole") throw new Error(`a ${frame.case} came`);
    return Buffer.from(frame.value.body).toString();
  }
}

/** What an agent dials: a server of TunnelService on loopback, which a test drives frame by frame. */
export class RelayFixture {
  readonly agents = new Mailbox<AttachedAgent>();
  readonly lanes = new Mailbox<OfferedLane>();
  readonly #sessions = new Set<ServerHttp2Session>();
  #server: Http2Server | undefined;
  #port = 0;

  get address(): PeerAddress {
    return { host: "127.0.0.1", port: this.#port };
  }

  /** Listens, on the same port each time. */
  async start(): Promise<void> {
    const server = createServer(LANE_SERVER_OPTIONS);
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
    });
    server.on("stream", (stream, headers) => {
      if (headers[":path"] === ATTACH) {
        const agent = new AttachedAgent(stream, headers.authorization);
        agent.start();
        this.agents.put(agent);
      } else if (headers[":path"] === SERVE) this.#awaitReady(stream);
    });
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Cuts all connections and listens no more. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    for (const session of this.#sessions) session.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** The next agent, taken in. */
  async accept(idleLanes?: number, heartbeatIntervalMs?: number): Promise<AttachedAgent> {
    const agent = await this.agents.take();
    await agent.said.take();
    agent.accept(idleLanes, heartbeatIntervalMs);
    return agent;
  }

  /** The next so many lanes. */
  takeLanes(count: number): Promise<OfferedLane[]> {
    return Promise.all(Array.from({ length: count }, () => this.lanes.take()));
  }

  #awaitReady(stream: ServerHttp2Stream): void {
    const lane = new Lane(new GrpcServerStream(stream, Hop.AGENT), "requester", Hop.AGENT);
    lane.start({
      frame: (_field, message) => {
        const frame = decodeResponse(message);
        if (frame.case === "ready") this.lanes.put(new OfferedLane(lane, frame.value.sessionId));
      },
      drained: () => {},
      idle: () => {},
      closed: () => {},
    });
  }
}
