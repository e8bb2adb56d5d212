import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { Socket } from "node:net";
import { dial } from "./dial.ts";
import { LANE_CLIENT_OPTIONS } from "./http2-settings.ts";
import type { PeerAddress } from "./peer-address.ts";
import { ReadOn } from "./read-on.ts";
import { receiveWindows } from "./receive-windows.ts";

/** How often a connection is asked whether it lives, in milliseconds. */
const PING_INTERVAL_MS = 10_000;
/** A ping unanswered for this long means that the peer vanished without a word, in milliseconds. */
const PING_TIMEOUT_MS = 5_000;
/** How long streams may take to end after {@link GrpcConnection.close}, in milliseconds. */
const CLOSE_MS = 1_000;

/** A stream that waits for the connection. */
export interface StreamRequest {
  headers: OutgoingHttpHeaders;
  opened(stream: ClientHttp2Stream): void;
  failed(cause: Error): void;
}

type State =
  /** Nothing is there; the next request dials. */
  | { name: "idle" }
  | { name: "connecting"; waiting: Set<StreamRequest>; abort: AbortController }
  | { name: "connected"; session: ClientHttp2Session }
  /** By its owner, for good. */
  | { name: "closed" };

/**
 * One HTTP/2 connection to one peer, for gRPC calls: dialled when the first call needs it, and again by the next call
 * after it was lost. When to try again, and how often, is its owner's business.
 */
export class GrpcConnection {
  readonly #peer: () => PeerAddress;
  readonly #goingAway: () => void;
  #state: State = { name: "idle" };
  /** All that live, the current one and those of peers that drain, each with its socket. */
  readonly #sessions = new Map<ClientHttp2Session, Socket>();

  /**
   * @param peer where the peer is; asked anew for each connection, since certificates change
   * @param goingAway the peer is stopping (GOAWAY, RFC 9113, 6.8): streams that are open go on for a while, and the next
   *   one gets a connection of its own. Lanes without an exchange are to be ended, by their requester: it alone knows
   *   that no request is on its way
   */
  constructor(peer: () => PeerAddress, goingAway: () => void = () => {}) {
    this.#peer = peer;
    this.#goingAway = goingAway;
  }

  /** Opens a stream, now or when the connection is there. */
  request(request: StreamRequest): void {
    const state = this.#state;
    switch (state.name) {
      case "closed":
        return void setImmediate(() => request.failed(new Error("the connection was closed")));
      case "connected":
        if (!state.session.closed && !state.session.destroyed)
          return request.opened(state.session.request(request.headers));
        return this.#connect(request); // a peer that drains has said GOAWAY: its streams go on, ours go elsewhere
      case "connecting":
        return void state.waiting.add(request);
      case "idle":
        return this.#connect(request);
    }
  }

  /** Gives up a request that waits. */
  withdraw(request: StreamRequest): void {
    if (this.#state.name === "connecting") this.#state.waiting.delete(request);
  }

  /** Opens no more streams; those that are open may end within a second. */
  close(): void {
    const state = this.#state;
    this.#state = { name: "closed" };
    if (state.name === "connecting") state.abort.abort(new Error("the connection was closed"));
    for (const session of this.#sessions.keys()) {
      session.close();
      setTimeout(() => this.#cut(session), CLOSE_MS).unref();
    }
  }

  #connect(first: StreamRequest): void {
    const connecting = { name: "connecting" as const, waiting: new Set([first]), abort: new AbortController() };
    this.#state = connecting;
    const { signal } = connecting.abort;
    this.#open(signal).then(
      (session) => {
        if (this.#state !== connecting) {
          this.#cut(session); // closed in the moment in which it was there
          for (const request of connecting.waiting) request.failed(signal.reason);
          return;
        }
        this.#state = { name: "connected", session };
        for (const request of connecting.waiting) request.opened(session.request(request.headers));
      },
      (cause: Error) => {
        if (this.#state === connecting) this.#state = { name: "idle" };
        for (const request of connecting.waiting) request.failed(cause);
      },
    );
  }

  async #open(signal: AbortSignal): Promise<ClientHttp2Session> {
    const peer = this.#peer();
    const socket = await dial(peer, signal);
    const authority =
      "path" in peer ? "http://localhost" : `${peer.tls ? "https" : "http"}://${peer.host}:${peer.port}`;
    const session = connect(authority, { ...LANE_CLIENT_OPTIONS, createConnection: () => socket });
    this.#sessions.set(session, socket);
    ReadOn.start(session, socket);
    // As when the peer refuses our certificate (TLS 1.3 tells it late): node would keep the socket for good.
    socket.on("error", () => socket.destroy());
    const pings = setInterval(() => this.#ping(session), PING_INTERVAL_MS);
    session.on("goaway", (code) => {
      if (code === constants.NGHTTP2_NO_ERROR) this.#goingAway();
    });
    session.on("error", () => {}); // "close" follows; each stream tells its owner
    session.on("close", () => {
      clearInterval(pings);
      this.#sessions.delete(session);
      if (this.#state.name === "connected" && this.#state.session === session) this.#state = { name: "idle" };
    });
    const { promise, resolve, reject } = Promise.withResolvers<ClientHttp2Session>();
    session.once("connect", () => {
      receiveWindows.add(session);
      resolve(session);
    });
    session.once("error", reject);
    session.once("close", () => reject(new Error("the peer closed the connection")));
    return promise;
  }

  #ping(session: ClientHttp2Session): void {
    if (session.destroyed) return;
    const cut = (): void => this.#cut(session, new Error("the peer does not answer pings"));
    let last: NodeJS.Immediate | undefined;
    // An answer that came while this process stood still is read before that: timers go before what has come.
    const timer = setTimeout(() => {
      last = setImmediate(cut);
    }, PING_TIMEOUT_MS);
    ReadOn.of(session)?.lookSoon(); // should anything have waited that no stream has told of
    session.ping(() => {
      clearTimeout(timer);
      clearImmediate(last);
    });
  }

  /** Ends a session at once. node keeps the socket until what it writes is written: of a peer that is gone, never. */
  #cut(session: ClientHttp2Session, cause?: Error): void {
    session.destroy(cause);
    this.#sessions.get(session)?.destroy();
  }
}
