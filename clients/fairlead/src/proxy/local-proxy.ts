import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { ProofKey } from "@fairlead/authentication";
import {
  checkRequest,
  header,
  InboundExchanges,
  type InboundMessage,
  type Judged,
  refuseUnparsed,
  TIMINGS_HEADER,
  toFrameHeaders,
} from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, Hop, MAX_HEAD_BYTES, newExchangeId, RequestHeadSchema } from "@fairlead/protocol";
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

/** The HTTPS server on loopback that kubectl talks to. */
export class LocalProxy {
  readonly #cluster: string;
  #identity: LocalIdentity;
  readonly #token: TokenSource;
  readonly #proofKey: ProofKey | undefined;
  readonly #renewal: TokenRenewal;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  /**
   * @param cluster the cluster that it is for
   * @param identity its port, certificate and local credential
   * @param token the caller's own token, which goes to the cluster in place of the local one
   * @param proofKey the key that the token is bound to, if it is
   */
  constructor(cluster: string, identity: LocalIdentity, pool: LanePool, token: TokenSource, proofKey?: ProofKey) {
    this.#cluster = cluster;
    this.#identity = identity;
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
    const exchanges = new InboundExchanges({
      hop: Hop.CLIENT_PROXY,
      judge: (request, upgrade) => this.#judge(request, upgrade),
      takeLane: (gone) => pool.take(gone),
      releaseLane: (lane) => pool.release(lane),
    });
    this.#server.on("request", (request, response) => void exchanges.request(request, response));
    this.#server.on("checkContinue", (request, response) => void exchanges.request(request, response));
    this.#server.on("upgrade", (request, socket: Socket, first) => void exchanges.upgrade(request, socket, first));
    this.#server.on("clientError", (error, socket) => refuseUnparsed(error, socket, Hop.CLIENT_PROXY));
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

  /** Takes up a certificate and a local credential that were made anew; connections that are open stay. */
  renew(identity: LocalIdentity): void {
    const { cert, key } = identity;
    if (cert !== this.#identity.cert) this.#server.setSecureContext({ cert, key });
    this.#identity = identity;
  }

  /** Ends all connections. */
  stop(): void {
    this.#renewal.stop();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Checks a request and makes its head: the local credential goes out, the caller's own comes in. */
  async #judge(request: InboundMessage, upgrade: string): Promise<Judged> {
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
    return { head, begin: () => this.#renewal.begin(head, token) };
  }
}
