import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2SecureServer } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { refuseUnparsed } from "@fairlead/http-bridge";
import { Hop, MAX_HEAD_BYTES } from "@fairlead/protocol";
import type { DirectEndpoint } from "../direct/direct-endpoint.ts";
import type { RequestHandler } from "./public-port.ts";

/** How long a request may take for its head, in milliseconds. */
const HEAD_TIMEOUT_MS = 10_000;
/** How long one that is not for a cluster may take in all, and what is left of one that was answered, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How often the first of them is looked at, in milliseconds. */
const TIMEOUT_CHECK_MS = 2_000;
/** How long a kept connection may idle, in milliseconds: longer than client-go's 90 s, so that it is never closed under a request. */
export const KEEP_ALIVE_MS = 120_000;

/** Limits, for tests. */
export interface Http1ConnectionsOptions {
  requestTimeoutMs?: number;
}

/** The connections of the public port that speak HTTP/1.1. */
export class Http1Connections {
  readonly #direct: DirectEndpoint;
  readonly #handle: RequestHandler;
  readonly #requestTimeoutMs: number;
  readonly #sockets = new Set<Socket>();
  readonly #answers = new Set<ServerResponse>();
  #draining = false;

  /**
   * @param direct serves what is for a cluster
   * @param handle serves all else
   */
  constructor(
    direct: DirectEndpoint,
    handle: RequestHandler,
    { requestTimeoutMs = REQUEST_TIMEOUT_MS }: Http1ConnectionsOptions = {},
  ) {
    this.#direct = direct;
    this.#handle = handle;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  /** What the server needs to be told when it is made. */
  get options() {
    return {
      allowHTTP1: true,
      maxHeaderSize: MAX_HEAD_BYTES, // node's own limit is 16 KiB
      headersTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: 0, // what is for a cluster may be long: see #boundBody
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
  }

  /** Takes the server's connections in. */
  serve(server: Http2SecureServer): void {
    Object.assign(server, {
      maxHeadersCount: 0, // the limit is in bytes; node would drop headers beyond a count
      shouldUpgradeCallback: (request: IncomingMessage) => this.#isDirect(request),
    });
    server.on("secureConnection", (socket: TLSSocket) => {
      if (socket.alpnProtocol === "h2") return;
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    server.on("request", (request: IncomingMessage, response: ServerResponse) => this.#onRequest(request, response));
    server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
      if (!this.#isDirect(request)) response.writeContinue();
      this.#onRequest(request, response);
    });
    server.on("upgrade", (request: IncomingMessage, socket: Socket, first: Buffer) =>
      this.#direct.upgrade(request, socket, first),
    );
    server.on("clientError", (error: Error, socket: Socket) => refuseUnparsed(error, socket, Hop.RELAY));
  }

  /** Ends the connections that have no request, and each of the others after its answer. */
  drain(server: Http2SecureServer): void {
    this.#draining = true;
    for (const answer of this.#answers) answer.shouldKeepAlive = false;
    (server as Http2SecureServer & { closeIdleConnections(): void }).closeIdleConnections();
  }

  /** Cuts what is left. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    this.#answers.add(response);
    if (this.#draining) response.shouldKeepAlive = false;
    const isDirect = this.#isDirect(request);
    if (!isDirect) boundBody(request, this.#requestTimeoutMs);
    response.on("close", () => {
      this.#answers.delete(response);
      if (isDirect) boundBody(request, this.#requestTimeoutMs);
      if (this.#draining) socket.destroySoon(); // a head that went out before has promised to keep it
    });
    if (isDirect) this.#direct.request(request, response);
    else this.#handle(request, response);
  }

  #isDirect({ url, headers }: IncomingMessage): boolean {
    return this.#direct.covers(url, headers.host);
  }
}

/**
 * Gives a request's body a time from now on. What is for a cluster has all the time that it needs until it is answered: a
 * stranger's is answered as soon as its token is judged, and a caller's has its place among the limits.
 */
function boundBody(request: IncomingMessage, timeoutMs: number): void {
  if (request.complete || request.destroyed) return;
  const timer = setTimeout(() => request.socket.destroy(), timeoutMs);
  request.once("end", () => clearTimeout(timer)).once("close", () => clearTimeout(timer));
}
