import type { IncomingMessage, ServerResponse } from "node:http";
import {
  createSecureServer,
  type Http2SecureServer,
  Http2ServerRequest,
  Http2ServerResponse,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { bearerToken } from "@fairlead/authentication";
import {
  AccessService,
  IdleSessions,
  LANE_SERVER_OPTIONS,
  MAX_HEAD_BYTES,
  methodPath,
  receiveWindows,
  TunnelService,
} from "@fairlead/protocol";
import type { DirectEndpoint } from "../direct/direct-endpoint.ts";
import type { AccessServiceHandler } from "../lanes/access-service.ts";
import type { TunnelServiceHandler } from "../lanes/tunnel-service.ts";
import { Http1Connections, KEEP_ALIVE_MS } from "./http1-connections.ts";
import { PacedListener } from "./paced-listener.ts";
import type { PortTls } from "./tls-files.ts";

/** How many connections the kernel keeps for us until we accept them, if its own limit (somaxconn) allows it. */
const LISTEN_BACKLOG = 4_096;
/** How long a TLS handshake may take once it has begun, in milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

const OLDEST_TLS = "TLSv1.2";

/** A handler of requests that are no stream of ours: unary RPCs, JSON, health. */
export type RequestHandler = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
) => void;

/** What is served at the public port. */
export interface Served {
  access: AccessServiceHandler;
  tunnel: TunnelServiceHandler;
  direct: DirectEndpoint;
  handle: RequestHandler;
}

/**
 * The relay's one public port: HTTP/2 and HTTP/1.1 over TLS. The three streams of frames are served straight on
 * their http2 streams, and what is for a cluster by the direct endpoint; all else goes to an ordinary handler. The server is our own because its windows have to be
 * set: with grpc-js as a server, uploads are limited to 64 KiB a round trip.
 */
export class PublicPort {
  readonly #listener: PacedListener;
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Those of agents, or of who says so. */
  readonly #agents = new WeakSet<Http2Session>();
  readonly #http1: Http1Connections;
  readonly #idle = new IdleSessions({ idleMs: KEEP_ALIVE_MS });

  constructor(tls: PortTls, { access, tunnel, direct, handle }: Served) {
    this.#http1 = new Http1Connections(direct, handle);
    this.#server = createSecureServer({
      ...LANE_SERVER_OPTIONS,
      ...tls,
      ...this.#http1.options,
      settings: { ...LANE_SERVER_OPTIONS.settings, maxHeaderListSize: MAX_HEAD_BYTES },
      maxSendHeaderBlockLength: MAX_HEAD_BYTES, // nghttp2's own limit is 64 KiB
      minVersion: OLDEST_TLS,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    const streams: Record<string, (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void> = {
      [methodPath(AccessService.method.exchange)]: (stream) => access.exchange(stream),
      [methodPath(TunnelService.method.serve)]: (stream) => tunnel.serve(stream),
      [methodPath(TunnelService.method.attach)]: (stream, headers) =>
        this.#attach(stream, tunnel, bearerToken(headers.authorization)),
    };
    this.#listener = new PacedListener((socket) => this.#server.emit("connection", socket));
    this.#server.emit("listening"); // it never listens itself, and would let HTTP/1.1 take all its time
    this.#server.on("secureConnection", (socket) => this.#listener.done(socket));
    this.#server.on("session", (session) => this.#onSession(session));
    this.#http1.serve(this.#server);
    // With "request" node adds a listener of its own that wraps every http2 stream; ours wraps only what needs it.
    this.#server.removeAllListeners("stream");
    this.#server.on("stream", (stream, headers, _flags, rawHeaders: string[] = []) => {
      const serve = headers[":method"] === "POST" ? streams[headers[":path"] ?? ""] : undefined;
      if (serve) return serve(stream, headers);
      if (direct.covers(headers[":path"], headers[":authority"] ?? headers.host)) {
        return direct.stream(stream, headers, rawHeaders);
      }
      handle(new Http2ServerRequest(stream, headers, {}, rawHeaders), new Http2ServerResponse(stream));
    });
  }

  /** Shows another certificate from the next connection on. */
  renewTls(tls: PortTls): void {
    this.#server.setSecureContext({ ...tls, minVersion: OLDEST_TLS });
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Connections whose handshake has yet to begin. */
  get waitingCount(): number {
    return this.#listener.waiting;
  }

  /** Listens. @returns the port, which the system chose if it is 0. @throws Error if it cannot be had */
  async listen(host: string, port: number): Promise<number> {
    const { server } = this.#listener;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject).listen({ host, port, backlog: LISTEN_BACKLOG }, resolve);
    await promise;
    const address = server.address();
    return typeof address === "object" && address ? address.port : port;
  }

  /** Takes no new connection, and of clients no new stream; what is open goes on. Agents open lanes as they are asked. */
  drain(): void {
    this.#listener.close();
    for (const session of this.#sessions) if (!this.#agents.has(session)) session.close();
    this.#http1.drain(this.#server);
  }

  /** Cuts what is left. */
  destroy(): void {
    this.#server.close();
    for (const session of this.#sessions) session.destroy();
    this.#http1.destroy();
  }

  #attach(stream: ServerHttp2Stream, tunnel: TunnelServiceHandler, proof: string | undefined): void {
    if (stream.session) this.#agents.add(stream.session);
    tunnel.attach(stream, proof);
  }

  #onSession(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on("close", () => this.#sessions.delete(session));
    session.on("error", () => {}); // "close" follows; each stream tells its owner
    receiveWindows.add(session);
    this.#idle.add(session);
  }
}
