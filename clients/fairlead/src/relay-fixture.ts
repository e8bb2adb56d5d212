import {
  createSecureServer,
  createServer,
  Http2ServerRequest,
  Http2ServerResponse,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  AccessRuleService,
  AccessService,
  ClusterService,
  decodeRequest,
  type FairleadError,
  GrpcServerStream,
  Hop,
  LANE_SERVER_OPTIONS,
  Lane,
  methodPath,
  type RequestFrame,
  type RequestHead,
  type ResponseHead,
} from "@fairlead/protocol";
import { Mailbox } from "./mailbox-fixture.ts";

const EXCHANGE_PATH = methodPath(AccessService.method.exchange);

/** The relay's end of a lane of a client's. */
export class ServedLane {
  readonly lane: Lane;
  readonly requests = new Mailbox<RequestFrame["frame"]>();
  readonly closes = new Mailbox<FairleadError | undefined>();
  #exchangeId: Uint8Array = new Uint8Array(16);

  constructor(lane: Lane) {
    this.lane = lane;
    lane.start({
      frame: (_field, message) => this.requests.put(decodeRequest(message)),
      drained: () => {},
      idle: () => {},
      closed: (error) => this.closes.put(error),
    });
  }

  /** The head of the request that comes next. */
  async head(): Promise<RequestHead> {
    const frame = await this.requests.take();
    const head = frame.case === "whole" ? frame.value.head : frame.case === "head" ? frame.value : undefined;
    if (head === undefined) throw new Error(`a ${frame.case} came`);
    this.#exchangeId = head.exchangeId;
    return head;
  }

  /** Answers the request under way. */
  answer(body: string, status = 200): void {
    const $typeName = "fairlead.tunnel.v1alpha1.WholeResponse";
    const value = { $typeName, head: this.#head(status), body: Buffer.from(body), trailers: [] } as const;
    this.lane.sendResponse({ case: "whole", value: { ...value, trailers: [] } });
  }

  /** Begins an answer. @param upgrade the protocol that the connection is switched to */
  begin(status: number, upgrade = ""): void {
    this.lane.sendResponse({ case: "head", value: { ...this.#head(status), upgrade } });
  }

  data(offset: number, text: string): void {
    const $typeName = "fairlead.tunnel.v1alpha1.Data";
    this.lane.sendResponse({ case: "data", value: { $typeName, offset: BigInt(offset), data: Buffer.from(text) } });
  }

  end(offset: number): void {
    const $typeName = "fairlead.tunnel.v1alpha1.End";
    const value = { $typeName, offset: BigInt(offset), data: new Uint8Array(), trailers: [] } as const;
    this.lane.sendResponse({ case: "end", value: { ...value, trailers: [] } });
  }

  #head(status: number): ResponseHead {
    const $typeName = "fairlead.tunnel.v1alpha1.ResponseHead";
    const [reason, upgrade] = ["", ""];
    return { $typeName, exchangeId: this.#exchangeId, status, reason, headers: [], upgrade, timings: [] };
  }
}

/** What a test lets the relay's control plane answer. */
export interface ControlPlane {
  clusters?: Partial<ServiceImpl<typeof ClusterService>>;
  accessRules?: Partial<ServiceImpl<typeof AccessRuleService>>;
}

/** What clients dial: a relay on loopback, whose lanes a test drives frame by frame. */
export class RelayFixture {
  readonly lanes = new Mailbox<ServedLane>();
  /** How many lanes were opened to it, ever. */
  opened = 0;
  /** What becomes of the next lanes: served, left without `ready`, or refused; the last for all that follow. */
  plan: ("serve" | "ignore" | FairleadError)[] = ["serve"];
  readonly #tls: { cert: string; key: string } | undefined;
  readonly #rpc: ReturnType<typeof connectNodeAdapter>;
  readonly #sessions = new Set<ServerHttp2Session>();
  #server: ReturnType<typeof createServer> | undefined;
  #port = 0;

  /** @param tls undefined for plain text, which only lanes are tried with */
  constructor(tls?: { cert: string; key: string }, { clusters = {}, accessRules = {} }: ControlPlane = {}) {
    this.#tls = tls;
    this.#rpc = connectNodeAdapter({
      routes: (router) => router.service(ClusterService, clusters).service(AccessRuleService, accessRules),
    });
  }

  get port(): number {
    return this.#port;
  }

  get url(): URL {
    return new URL(`https://127.0.0.1:${this.#port}`);
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** Listens, on the same port each time. */
  async start(): Promise<void> {
    const server = this.#tls
      ? createSecureServer({ ...LANE_SERVER_OPTIONS, ...this.#tls })
      : createServer(LANE_SERVER_OPTIONS);
    server.on("session", (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      session.on("error", () => {});
    });
    server.on("stream", (stream: ServerHttp2Stream, headers, _flags, raw: string[] = []) => {
      if (headers[":path"] === EXCHANGE_PATH) this.#onLane(stream);
      else this.#rpc(new Http2ServerRequest(stream, headers, {}, raw), new Http2ServerResponse(stream));
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

  #onLane(stream: ServerHttp2Stream): void {
    this.opened++;
    const call = new GrpcServerStream(stream, Hop.CLIENT_PROXY);
    const served = new ServedLane(new Lane(call, "server", Hop.CLIENT_PROXY));
    const next = this.plan.length > 1 ? this.plan.shift() : this.plan[0];
    if (next === "serve") served.lane.sendReady();
    else if (next !== "ignore" && next !== undefined) return served.lane.refuse(next);
    this.lanes.put(served);
  }
}
