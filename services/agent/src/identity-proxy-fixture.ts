import type { IncomingHttpHeaders } from "node:http";
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  CheckResponseSchema,
  decodeRequest,
  type FairleadError,
  GrpcServerStream,
  Hop,
  IdentityProxyService,
  LANE_SERVER_OPTIONS,
  Lane,
  methodPath,
  type PeerAddress,
  type RequestFrame,
} from "@fairlead/protocol";
import { Mailbox } from "./mailbox-fixture.ts";

const CHECK_PATH = methodPath(IdentityProxyService.method.check);

/** The identity proxy's end of a lane. */
export class InboundLane {
  readonly lane: Lane;
  readonly requests = new Mailbox<RequestFrame["frame"]>();
  readonly closes = new Mailbox<FairleadError | undefined>();

  constructor(lane: Lane) {
    this.lane = lane;
    lane.start({
      frame: (_field, message) => this.requests.put(decodeRequest(message)),
      drained: () => {},
      idle: () => {},
      closed: (error) => this.closes.put(error),
    });
  }

  /** Answers the request under way. */
  answer(body: string): void {
    const head = {
      $typeName: "fairlead.tunnel.v1alpha1.ResponseHead" as const,
      exchangeId: new Uint8Array(16),
      status: 200,
      reason: "",
      headers: [],
      upgrade: "",
      timings: [],
    };
    const $typeName = "fairlead.tunnel.v1alpha1.WholeResponse";
    this.lane.sendResponse({ case: "whole", value: { $typeName, head, body: Buffer.from(body), trailers: [] } });
  }
}

/** What an agent has beside it: a server of lanes on a Unix socket, which a test drives frame by frame. */
export class IdentityProxyFixture {
  readonly lanes = new Mailbox<InboundLane>();
  /** How many lanes were opened to it, ever. */
  opened = 0;
  /** The metadata of the lanes' calls, in their order. */
  readonly metadata: IncomingHttpHeaders[] = [];
  /** What it says when it is asked whether requests would get through; undefined: nothing at all. */
  check: MessageInitShape<typeof CheckResponseSchema> | undefined;
  /** Whether it says `ready` on each lane. */
  ready = true;
  readonly #path: string;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<Socket>();
  #server: Http2Server | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  get address(): PeerAddress {
    return { path: this.#path };
  }

  async start(): Promise<void> {
    const server = createServer(LANE_SERVER_OPTIONS);
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
    });
    server.on("stream", (stream, headers) => {
      if (headers[":path"] === CHECK_PATH) return this.#answerCheck(stream);
      this.opened++;
      this.metadata.push(headers);
      const lane = new InboundLane(new Lane(new GrpcServerStream(stream, Hop.AGENT), "server", Hop.AGENT));
      if (this.ready) lane.lane.sendReady();
      this.lanes.put(lane);
    });
    await new Promise<void>((resolve) => server.listen(this.#path, resolve));
    this.#server = server;
  }

  #answerCheck(stream: ServerHttp2Stream): void {
    const call = new GrpcServerStream(stream, Hop.AGENT);
    call.start({ message: () => {}, ended: () => {}, drained: () => {}, closed: () => {} });
    if (this.check === undefined) return;
    call.send(toBinary(CheckResponseSchema, create(CheckResponseSchema, this.check)));
    call.end();
  }

  /** Tells all peers that it is stopping. What is open goes on, and others still get in. */
  goAway(): void {
    for (const session of this.#sessions) session.close();
  }

  /** Cuts all connections without a word, as when it is killed, and listens no more. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** The lane that has the request with this body. */
  async laneOf(body: string): Promise<InboundLane> {
    for (;;) {
      const lane = await this.lanes.take();
      const frame = lane.requests.size > 0 ? await lane.requests.take() : undefined;
      if (frame?.case === "whole" && Buffer.from(frame.value.body).toString() === body) return lane;
      this.lanes.put(lane);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
