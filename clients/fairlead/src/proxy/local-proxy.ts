import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { ProofKey } from "@fairlead/authentication";
import {
  checkRequest,
  ERROR_HEADER,
  header,
  InboundHttp,
  InboundUpgrade,
  plainAnswer,
  sendStatus,
  statusBody,
  TIMINGS_HEADER,
  toFrameHeaders,
} from "@fairlead/http-bridge";
import {
  ErrorCode,
  errorCodeName,
  FairleadError,
  Hop,
  hopName,
  MAX_HEAD_BYTES,
  newExchangeId,
  type RequestHead,
  RequestHeadSchema,
} from "@fairlead/protocol";
import type { TokenSource } from "../relay/token-source.ts";
import { CLIENT } from "../version.ts";
import type { LanePool } from "./lane-pool.ts";
import { checkLocalAccess, withoutBearerProtocol } from "./local-access.ts";
import type { LocalIdentity } from "./local-identity.ts";
import { TokenRenewal } from "./token-renewal.ts";

/** Headers of kubectl's that end here. */
const LOCAL_HEADERS = new Set(["host", "authorization", "dpop", "sec-websocket-protocol", TIMINGS_HEADER]);
/** How long kubectl may take for a request's head, in milliseconds. */
const HEAD_TIMEOUT_MS = 60_000;
/** How long a kept connection may idle, in milliseconds: longer than client-go's 90 s, so that it is never closed under a request. */
const KEEP_ALIVE_MS = 120_000;

/** How long what a refused client still sends is thrown away, in milliseconds: a reset would take our answer from it. */
const LINGER_MS = 2_000;

/** The HTTPS server on loopback that kubectl talks to. */
export class LocalProxy {
  readonly #cluster: string;
  readonly #identity: LocalIdentity;
  readonly #pool: LanePool;
  readonly #token: TokenSource;
  readonly #proofKey: ProofKey | undefined;
  readonly #renewal: TokenRenewal;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  /** Answers that are not out yet, by connection. */
  readonly #answering = new WeakMap<Socket, number>();

  /**
   * @param cluster the cluster that it is for
   * @param identity its port, certificate and local credential
   * @param token the caller's own token, which goes to the cluster in place of the local one
   * @param proofKey the key that the token is bound to, if it is
   */
  constructor(cluster: string, identity: LocalIdentity, pool: LanePool, token: TokenSource, proofKey?: ProofKey) {
    this.#cluster = cluster;
    this.#identity = identity;
    this.#pool = pool;
    this.#token = token;
    this.#proofKey = proofKey;
    this.#renewal = new TokenRenewal(pool, token, proofKey);
    const { cert, key } = identity;
    const tls = { cert, key, ALPNProtocols: ["http/1.1"], allowHalfOpen: true };
    const limits = { maxHeaderSize: MAX_HEAD_BYTES, headersTimeout: HEAD_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS };
    this.#server = createServer({ ...tls, ...limits, requestTimeout: 0, noDelay: true });
    this.#server.maxHeadersCount = 0; // the limit is in bytes; node would drop headers beyond a count
    this.#server.on("secureConnection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("request", (request, response) => void this.#onRequest(request, response));
    this.#server.on("checkContinue", (request, response) => void this.#onRequest(request, response));
    this.#server.on("upgrade", (request, socket: Socket, first) => void this.#onUpgrade(request, socket, first));
    this.#server.on("clientError", (error, socket) => refuseUnparsed(error, socket as Socket));
  }

  /** Its port on 127.0.0.1. */
  get port(): number {
    return this.#port;
  }

  get socketCount(): number {
    return this.#sockets.size;
  }

  /** Listens on 127.0.0.1; at any port if that of its identity is 0. @throws FairleadError ALREADY_EXISTS if the port is taken */
  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { port } = this.#identity;
    this.#server.once("error", (cause: NodeJS.ErrnoException) => {
      const sentence = `port ${port} of this machine is taken, perhaps by another \`fairlead proxy ${this.#cluster}\`; end it, or give --port`;
      const taken = new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, sentence, { cause });
      reject(cause.code === "EADDRINUSE" ? taken : cause);
    });
    this.#server.listen(port, "127.0.0.1", resolve);
    await promise;
    const address = this.#server.address();
    this.#port = typeof address === "object" && address ? address.port : port;
  }

  /** Ends all connections. */
  stop(): void {
    this.#renewal.stop();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = performance.now();
    const { socket } = request;
    this.#answering.set(socket, (this.#answering.get(socket) ?? 0) + 1);
    response.once("close", () => this.#answering.set(socket, (this.#answering.get(socket) ?? 1) - 1));
    try {
      const { head, token } = await this.#headOf(request, "");
      const lane = await this.#pool.take(() => response.destroyed);
      if (response.destroyed) return this.#pool.release(lane);
      response.once("close", this.#renewal.begin(head, token));
      const inbound = { request, head, startedAt, released: () => this.#pool.release(lane) };
      new InboundHttp(inbound, response, lane).start();
    } catch (error) {
      if (!response.destroyed) sendStatus(response, FairleadError.from(error, Hop.CLIENT_PROXY));
    }
  }

  async #onUpgrade(request: IncomingMessage, socket: Socket, first: Buffer): Promise<void> {
    const startedAt = performance.now();
    socket.on("error", () => {}); // "close" follows
    // Sent behind a request that is not answered yet: the connection has no place for two answers at once.
    if ((this.#answering.get(socket) ?? 0) > 0) return void socket.destroy();
    try {
      const { head, token } = await this.#headOf(request, request.headers.upgrade ?? "");
      const taken = await this.#pool.take(() => socket.destroyed);
      if (socket.destroyed) return this.#pool.release(taken);
      socket.once("close", this.#renewal.begin(head, token));
      if (first.length > 0) socket.unshift(first);
      new InboundUpgrade(
        { request, head, startedAt, released: () => this.#pool.release(taken) },
        socket,
        taken,
      ).start();
    } catch (error) {
      if (!socket.destroyed) sendStatus(plainAnswer(request, socket), FairleadError.from(error, Hop.CLIENT_PROXY));
    }
  }

  /** Checks a request and makes its head: the local credential goes out, the caller's own comes in. */
  async #headOf(request: IncomingMessage, upgrade: string): Promise<{ head: RequestHead; token: string }> {
    const { scope } = checkLocalAccess(request, this.port, this.#identity.localToken);
    checkRequest(request, Hop.CLIENT_PROXY);
    const headers = toFrameHeaders(request.rawHeaders, LOCAL_HEADERS);
    const asked = request.headers["sec-websocket-protocol"];
    const protocols = asked === undefined ? undefined : withoutBearerProtocol(asked);
    if (protocols) headers.push(header("Sec-WebSocket-Protocol", protocols));
    const token = await this.#token();
    headers.push(header("Authorization", `Bearer ${token}`));
    const head = create(RequestHeadSchema, {
      exchangeId: newExchangeId(),
      cluster: this.#cluster,
      method: request.method ?? "",
      target: request.url ?? "",
      headers,
      upgrade,
      wantsTimings: request.headers[TIMINGS_HEADER] !== undefined,
      ...(scope && { scope }),
      client: CLIENT,
    });
    const proof = await this.#proofKey?.prove({ ...head, token });
    if (proof !== undefined) head.headers.push(header("DPoP", proof));
    return { head, token };
  }
}

/** Answers what node's parser refused, with a Status where it can. */
function refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (socket.writableEnded) return; // more of what was refused already
  if (!socket.writable) return void socket.destroy();
  const tooLarge = error.code === "HPE_HEADER_OVERFLOW";
  const fault = tooLarge
    ? new FairleadError(
        ErrorCode.HEAD_TOO_LARGE,
        Hop.CLIENT_PROXY,
        "the request's line and headers are larger than 1 MiB; shorten the command or the token",
      )
    : new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, "the request is not valid HTTP/1.1");
  const body = statusBody(fault);
  const line = tooLarge ? "431 Request Header Fields Too Large" : "400 Bad Request";
  const headers = [
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `${ERROR_HEADER}: ${errorCodeName(fault.code)}; hop="${hopName(fault.hop)}"`,
    "Connection: close",
  ];
  socket.end(`HTTP/1.1 ${line}\r\n${headers.join("\r\n")}\r\n\r\n${body}`);
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
