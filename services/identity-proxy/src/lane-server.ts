import { mkdirSync, readFileSync, rmSync } from "node:fs";
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { dirname } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { EXPIRY_INTERVAL_MS } from "@fairlead/authorization";
import { type CarryOn, type Prepare, type ServedLane, serveLane } from "@fairlead/http-bridge";
import {
  AccessService,
  type CheckResponse,
  CheckResponseSchema,
  GrpcServerStream,
  Hop,
  IdentityProxyService,
  IdleSessions,
  LANE_SERVER_OPTIONS,
  Lane,
  methodPath,
  REQUESTER_ENDS_MS,
  receiveWindows,
  stopped,
} from "@fairlead/protocol";
import { type LaneWay, laneWayOf } from "./lane-way.ts";

/** Where the identity proxy listens: for the agent alone. */
export type ListenOptions =
  /** Side by side with the agent, under the same user. */
  | { kind: "unix"; path: string }
  /** In a pod of its own; the agent shows a certificate that `clientCa` signed. */
  | { kind: "tls"; host: string; port: number; cert: string; key: string; clientCa: string };

/** How long a TLS handshake may take, in milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** What the server holds now. */
export interface LaneCounts {
  sessions: number;
  lanes: number;
}

const EXCHANGE_PATH = methodPath(AccessService.method.exchange);
const CHECK_PATH = methodPath(IdentityProxyService.method.check);

/** What is served. */
export interface Served {
  /** Decides, for the way that a lane's requests come, where each goes on, and refuses. */
  prepareFor: (way: LaneWay) => Prepare;
  /** Judges newer tokens for what is under way. */
  carryOn?: CarryOn;
  /** Tries what every request needs. */
  check?: () => Promise<CheckResponse>;
}

/** Serves `AccessService.Exchange` to the agent. */
export class LaneServer {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #idle = new IdleSessions();
  readonly #lanes = new Map<Lane, ServedLane>();
  #expiry: NodeJS.Timeout | undefined;
  readonly #listen: ListenOptions;

  constructor(listen: ListenOptions, { prepareFor, carryOn, check }: Served) {
    this.#listen = listen;
    this.#server = makeServer(listen);
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      receiveWindows.add(session);
      this.#idle.add(session);
    });
    this.#server.on("stream", (stream, headers) => {
      if (headers[":path"] === CHECK_PATH && check) return void answerCheck(stream, check);
      if (headers[":path"] !== EXCHANGE_PATH || headers[":method"] !== "POST") {
        stream.on("error", () => {}); // a peer that resets it must not end this process
        stream.respond(
          { ":status": 200, "content-type": "application/grpc+proto", "grpc-status": "12" },
          { endStream: true },
        );
        return;
      }
      const lane = new Lane(new GrpcServerStream(stream, Hop.AGENT), "server", Hop.AGENT);
      this.#lanes.set(
        lane,
        serveLane(lane, prepareFor(laneWayOf(headers)), () => this.#lanes.delete(lane), carryOn),
      );
    });
  }

  get counts(): LaneCounts {
    return { sessions: this.#sessions.size, lanes: this.#lanes.size };
  }

  /** Listens. @returns the address, as the agent's `--identity-proxy` takes it */
  async start(): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    if (this.#listen.kind === "unix") listenPrivately(this.#server, this.#listen.path, resolve);
    else this.#server.listen(this.#listen.port, this.#listen.host, resolve);
    await promise;
    this.#expiry = setInterval(() => this.#endExpired(), EXPIRY_INTERVAL_MS);
    const address = this.#server.address();
    return typeof address === "object" && address ? `https://${address.address}:${address.port}` : `unix:${address}`;
  }

  /** Takes no new lane, and ends all after `graceMs` or when the last exchange has ended and the agent has left. */
  async stop(graceMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const session of this.#sessions) session.close();
    const endIdle = (): void => {
      for (const lane of this.#lanes.keys()) if (!lane.inExchange) lane.end();
    };
    const begun = Date.now();
    const poll = setInterval(() => Date.now() > begun + REQUESTER_ENDS_MS && endIdle(), 50);
    const cut = setTimeout(() => {
      for (const lane of this.#lanes.keys()) lane.reset(stopped(Hop.IDENTITY_PROXY));
      for (const session of this.#sessions) session.destroy();
    }, graceMs);
    await promise;
    clearInterval(poll);
    clearInterval(this.#expiry);
    clearTimeout(cut);
  }

  /** Whatever the relay does: an exchange does not outlive its token here. */
  #endExpired(): void {
    const nowMs = Date.now();
    for (const served of this.#lanes.values()) served.endExpired(nowMs);
  }
}

function makeServer(listen: ListenOptions): Http2Server {
  if (listen.kind === "unix") return createServer(LANE_SERVER_OPTIONS);
  return createSecureServer({
    ...LANE_SERVER_OPTIONS,
    cert: readFileSync(listen.cert),
    key: readFileSync(listen.key),
    ca: readFileSync(listen.clientCa),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.3",
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
}

/** The socket is made 0600 at once, by the umask; one that a killed process left is removed. */
function listenPrivately(server: Http2Server, path: string, listening: () => void): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rmSync(path, { force: true });
  const before = process.umask(0o177);
  server.listen(path, listening);
  process.umask(before);
}

/** Its request says nothing, and is not read. */
async function answerCheck(stream: ServerHttp2Stream, check: () => Promise<CheckResponse>): Promise<void> {
  const call = new GrpcServerStream(stream, Hop.AGENT);
  call.start({ message: () => {}, ended: () => {}, drained: () => {}, closed: () => {} });
  call.send(toBinary(CheckResponseSchema, await check()));
  call.end();
}
