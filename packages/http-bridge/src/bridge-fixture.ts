import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createLaneServer, type ServerHttp2Session } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AccessService,
  decodeRequest,
  decodeResponse,
  FairleadError,
  GrpcClientStream,
  GrpcConnection,
  GrpcServerStream,
  Hop,
  LANE_SERVER_OPTIONS,
  Lane,
  MAX_HEAD_BYTES,
  type MessageStream,
  methodPath,
  newExchangeId,
  type RequestFrame,
  type RequestHead,
  RequestHeadSchema,
  type ResponseFrame,
  receiveWindows,
  WholeRequestSchema,
} from "@fairlead/protocol";
import { toFrameHeaders, toRawHeaders } from "./headers.ts";
import { InboundHttp } from "./inbound-http.ts";
import { InboundUpgrade, plainAnswer } from "./inbound-upgrade.ts";
import { type ServedLane, serveLane } from "./outbound-lane.ts";
import { checkRequest } from "./request-checks.ts";
import { sendStatus } from "./status.ts";
import { TIMINGS_HEADER } from "./timings.ts";
import type { Prepare, Upstream } from "./upstream.ts";
import { UpstreamPool } from "./upstream-pool.ts";

const EXCHANGE_PATH = methodPath(AccessService.method.exchange);

/** What a bridge may do otherwise than pass on to an HTTP origin. */
export interface BridgeOptions {
  /** The origin's port on 127.0.0.1. */
  origin?: number;
  /** Changes where a request goes on, or refuses it. */
  prepare?: (upstream: Upstream, head: RequestHead) => ReturnType<Prepare>;
  /** Has clients come by TLS. */
  clientTls?: { cert: string; key: string };
  /** Has each send of a request frame say that it is to wait, and go on a turn later. */
  everySendWaits?: boolean;
  /** False: `frames` stays empty. For bodies that are too large to keep. */
  keepFrames?: boolean;
  /** Serves lanes in place of `serveLane`. */
  serve?: (lane: Lane) => void;
}

/** A frame that went over a lane, with its direction. */
export type SeenFrame =
  | { to: "server"; frame: RequestFrame["frame"] }
  | { to: "requester"; frame: ResponseFrame["frame"] };

/**
 * The two ends of the bridge, joined by real lanes: an HTTP server that does what the client proxy does, less its
 * credentials; a node:http2 server and a client on loopback; and `serveLane` towards an origin.
 */
export class Bridge {
  readonly #options: BridgeOptions;
  #pool: UpstreamPool | undefined;
  readonly #laneServer = createLaneServer(LANE_SERVER_OPTIONS);
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #lanes = new Set<ServedLane>();
  readonly #http: Server;
  readonly #sockets = new Set<Socket>();
  readonly #idle: Lane[] = [];
  #client: GrpcConnection | undefined;
  /** Every frame of every lane of the HTTP server's, in order, as its requester's end sees it; without `ready`. */
  readonly frames: SeenFrame[] = [];
  /** How many lanes the serving end has had, and has. */
  readonly served = { opened: 0, live: 0 };
  /** Called for each lane that goes back to idle. */
  onReleased: () => void = () => {};

  private constructor(options: BridgeOptions) {
    this.#options = options;
    const limits = { maxHeaderSize: MAX_HEAD_BYTES, requestTimeout: 0, noDelay: true };
    this.#http = options.clientTls
      ? createHttpsServer({ ...options.clientTls, ...limits, allowHalfOpen: true })
      : createHttpServer(limits);
    this.#http.maxHeadersCount = 0;
  }

  static async start(options: BridgeOptions): Promise<Bridge> {
    const bridge = new Bridge(options);
    await bridge.#listen();
    return bridge;
  }

  /** The HTTP server's port. */
  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** The port that lanes come to. */
  get lanePort(): number {
    return (this.#laneServer.address() as AddressInfo).port;
  }

  /** How many lanes are idle. */
  get idleLanes(): number {
    return this.#idle.filter((lane) => !lane.closed).length;
  }

  /** A lane to the serving end for a test to send frames on, and all that comes back. */
  async openLane(): Promise<OpenLane> {
    const lane = new Lane(this.openStream(), "requester", Hop.RELAY);
    const opened = new OpenLane(lane);
    await opened.ready;
    return opened;
  }

  /** A call to the serving end that may carry anything. */
  openStream(): GrpcClientStream {
    if (!this.#client) throw new Error("the bridge is not started");
    return new GrpcClientStream(this.#client, EXCHANGE_PATH, { peerHop: Hop.RELAY });
  }

  /** Drops the lanes' connection at once. */
  cutLanes(): void {
    for (const session of this.#sessions) session.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#client?.close();
    this.cutLanes();
    this.#pool?.retire();
    await Promise.all([closed(this.#http), closed(this.#laneServer)]);
  }

  async #listen(): Promise<void> {
    this.#laneServer.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      receiveWindows.add(session);
    });
    this.#laneServer.on("stream", (stream) =>
      this.#serve(new Lane(new GrpcServerStream(stream, Hop.AGENT), "server", Hop.AGENT)),
    );
    this.#http.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#http.on("request", (request, response) => void this.#onRequest(request, response));
    this.#http.on("checkContinue", (request, response) => void this.#onRequest(request, response));
    this.#http.on("upgrade", (request, socket: Socket, first) => void this.#onUpgrade(request, socket, first));
    for (const server of [this.#laneServer, this.#http]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    this.#client = new GrpcConnection(() => ({ host: "127.0.0.1", port: this.lanePort }));
  }

  #serve(lane: Lane): void {
    this.served.opened++;
    this.served.live++;
    lane.onClose(() => this.served.live--);
    if (this.#options.serve) this.#options.serve(lane);
    else {
      const served = serveLane(lane, this.#prepare, () => this.#lanes.delete(served));
      this.#lanes.add(served);
    }
  }

  /** Ends the exchanges whose time has come. @param nowMs milliseconds since the epoch */
  endExpired(nowMs: number): void {
    for (const served of this.#lanes) served.endExpired(nowMs);
  }

  /** As the identity proxy does it, less the impersonation. */
  readonly #prepare: Prepare = (head) => {
    const address = { host: "127.0.0.1", port: this.#options.origin ?? 0 };
    const drops = (name: string): boolean => ["host", "content-length", "authorization"].includes(name);
    const headers = ["Host", `127.0.0.1:${address.port}`, ...toRawHeaders(head.headers, drops)];
    this.#pool ??= new UpstreamPool(address);
    const upstream: Upstream = { pool: this.#pool, headers };
    return this.#options.prepare?.(upstream, head) ?? upstream;
  };

  async #take(): Promise<Lane> {
    for (let lane = this.#idle.pop(); lane; lane = this.#idle.pop()) if (!lane.closed) return lane;
    const stream = this.openStream();
    const seen = this.#options.keepFrames === false ? stream : this.#seen(stream);
    const lane = new Lane(seen, "requester", Hop.RELAY);
    await new Promise<void>((resolve, reject) => {
      lane.start({ frame: () => resolve(), drained: () => {}, idle: () => {}, closed: (error) => reject(error) });
    });
    return lane;
  }

  #release(lane: Lane): void {
    lane.start({ frame: () => {}, drained: () => {}, idle: () => {}, closed: () => {} });
    lane.resume();
    this.#idle.push(lane);
    this.onReleased();
  }

  /** Notes each message of a call, and passes it on. */
  #seen(stream: GrpcClientStream): MessageStream {
    const { frames } = this;
    const { everySendWaits = false } = this.#options;
    let drained = (): void => {};
    return {
      start: (events) => {
        drained = () => events.drained();
        stream.start({
          message: (message) => {
            const frame = decodeResponse(message);
            if (frame.case !== "ready") frames.push({ to: "requester", frame });
            events.message(message);
          },
          ended: () => events.ended(),
          drained: () => events.drained(),
          closed: (error) => events.closed(error),
        });
      },
      send: (message) => {
        frames.push({ to: "server", frame: decodeRequest(message) });
        const flows = stream.send(message);
        if (everySendWaits) setImmediate(drained);
        return flows && !everySendWaits;
      },
      end: () => stream.end(),
      reset: (reason) => stream.reset(reason),
      refuse: (reason) => stream.refuse(reason),
      pause: () => stream.pause(),
      resume: () => stream.resume(),
    };
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = performance.now();
    try {
      const head = headOf(request, "");
      const lane = await this.#take();
      const inbound = { request, head, hop: Hop.CLIENT_PROXY, startedAt, released: () => this.#release(lane) };
      new InboundHttp(inbound, response, lane).start();
    } catch (error) {
      sendStatus(response, FairleadError.from(error, Hop.CLIENT_PROXY), Hop.CLIENT_PROXY);
    }
  }

  async #onUpgrade(request: IncomingMessage, socket: Socket, first: Buffer): Promise<void> {
    const startedAt = performance.now();
    socket.on("error", () => {});
    try {
      const head = headOf(request, request.headers.upgrade ?? "");
      const lane = await this.#take();
      if (first.length > 0) socket.unshift(first);
      const inbound = { request, head, hop: Hop.CLIENT_PROXY, startedAt, released: () => this.#release(lane) };
      new InboundUpgrade(inbound, socket, lane).start();
    } catch (error) {
      sendStatus(plainAnswer(request, socket), FairleadError.from(error, Hop.CLIENT_PROXY), Hop.CLIENT_PROXY);
    }
  }
}

/** A requester's lane for a test: what it sends is checked for order only. */
export class OpenLane {
  readonly lane: Lane;
  readonly ready: Promise<void>;
  readonly idle: Promise<void>;
  readonly closed: Promise<FairleadError | undefined>;
  readonly #frames: ResponseFrame["frame"][] = [];
  readonly #takers: ((frame: ResponseFrame["frame"]) => void)[] = [];

  constructor(lane: Lane) {
    this.lane = lane;
    const ready = Promise.withResolvers<void>();
    const idle = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<FairleadError | undefined>();
    this.ready = ready.promise;
    this.idle = idle.promise;
    this.closed = gone.promise;
    lane.start({
      frame: (_field, message) => {
        const frame = decodeResponse(message);
        if (frame.case === "ready") return ready.resolve();
        const taker = this.#takers.shift();
        if (taker) taker(frame);
        else this.#frames.push(frame);
      },
      drained: () => {},
      idle: () => idle.resolve(),
      closed: (error) => gone.resolve(error),
    });
  }

  /** The next response frame. */
  frame(): Promise<ResponseFrame["frame"]> {
    const frame = this.#frames.shift();
    return frame ? Promise.resolve(frame) : new Promise((resolve) => this.#takers.push(resolve));
  }

  sendHead(init: HeadInit): void {
    this.lane.sendRequest({ case: "head", value: headFrom(init) });
  }

  sendWhole(init: HeadInit, body: string | Uint8Array = "", trailers: [name: string, value: string][] = []): void {
    const value = create(WholeRequestSchema, {
      head: headFrom(init),
      body: Buffer.from(body),
      trailers: trailers.map(([name, text]) => ({ name, value: Buffer.from(text, "latin1") })),
    });
    this.lane.sendRequest({ case: "whole", value });
  }

  sendData(text: string | Uint8Array, offset = 0): void {
    const value = {
      $typeName: "fairlead.tunnel.v1alpha1.Data" as const,
      offset: BigInt(offset),
      data: Buffer.from(text),
    };
    this.lane.sendRequest({ case: "data", value });
  }

  sendEnd(offset = 0, last: string | Uint8Array = ""): void {
    const $typeName = "fairlead.tunnel.v1alpha1.End" as const;
    this.lane.sendRequest({
      case: "end",
      value: { $typeName, offset: BigInt(offset), data: Buffer.from(last), trailers: [] },
    });
  }
}

/** A head as a test writes it: what is not said is a GET of `/`. */
export type HeadInit = Omit<Exclude<MessageInitShape<typeof RequestHeadSchema>, RequestHead>, "headers"> & {
  headers?: [name: string, value: string][];
};

function headFrom({ headers = [], ...init }: HeadInit): RequestHead {
  return create(RequestHeadSchema, {
    exchangeId: newExchangeId(),
    method: "GET",
    target: "/",
    ...init,
    headers: headers.map(([name, value]) => ({ name, value: Buffer.from(value, "latin1") })),
  });
}

function headOf(request: IncomingMessage, upgrade: string): RequestHead {
  checkRequest(request, Hop.CLIENT_PROXY);
  return create(RequestHeadSchema, {
    exchangeId: newExchangeId(),
    cluster: "test",
    method: request.method ?? "",
    target: request.url ?? "",
    headers: toFrameHeaders(request.rawHeaders, new Set(["host", TIMINGS_HEADER])),
    upgrade,
    wantsTimings: request.headers[TIMINGS_HEADER] !== undefined,
  });
}

function closed(server: { close(done: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
