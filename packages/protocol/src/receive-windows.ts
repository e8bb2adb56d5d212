import type { Http2Session } from "node:http2";

/** What one process may hold of what its peers have sent and nobody has taken yet, in bytes, over all lanes together. */
export const RECEIVE_BUDGET_BYTES = 128 * 1024 * 1024;
/** Where the window of a connection's lanes begins, in bytes (HTTP/2's stream window, RFC 9113, 5.2). */
export const FIRST_WINDOW_BYTES = 256 * 1024;
/** Most that a lane's window becomes: 160 MB/s over a round trip of 100 ms. */
const MAX_WINDOW_BYTES = 16 * 1024 * 1024;
/** Least that a lane's window becomes, however many lanes share the budget. */
const MIN_WINDOW_BYTES = 16 * 1024;
/** A connection's own window. node takes it up as bytes come, not as they are read: it bounds nothing. */
const CONNECTION_WINDOW_BYTES = 64 * 1024 * 1024;
/** How often a connection's bandwidth-delay product is measured and its window changed at most, in milliseconds. */
const INTERVAL_MS = 100;

/** The windows of one connection's lanes. */
interface SessionWindow {
  readonly session: Http2Session;
  /** What the measured bandwidth-delay product asks for, in bytes. */
  wanted: number;
  /** What the peer was told, in bytes. */
  told: number;
  /** Bytes since they were last counted. */
  received: number;
  /** Whether a ping is on its way. */
  sampling: boolean;
  changedAtMs: number;
}

/**
 * How much a peer may send on a lane before it is read: as much as the connection's bandwidth-delay product, measured
 * as gRPC does (grpc A6, "BDP estimator": what comes within one ping), and never more than the lane's share of one
 * budget for the whole process. node's http2 holds what a paused lane was sent, so the bound of a process is the window
 * times its busy lanes. An idle lane holds nothing: between exchanges no frame is legal.
 */
class ReceiveWindows {
  readonly #sessions = new Map<Http2Session, SessionWindow>();
  #busyLanes = 0;

  /** Takes in a new connection. */
  add(session: Http2Session & { setLocalWindowSize(bytes: number): void }): void {
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    const window = { session, wanted: FIRST_WINDOW_BYTES, told: FIRST_WINDOW_BYTES, received: 0, sampling: false };
    this.#sessions.set(session, { ...window, changedAtMs: performance.now() });
    session.once("close", () => this.#sessions.delete(session));
  }

  /** An exchange began on a lane. */
  laneBusy(): void {
    this.#busyLanes++;
  }

  /** An exchange ended on a lane. */
  laneIdle(): void {
    this.#busyLanes--;
  }

  /** How many lanes have an exchange. */
  get busyLanes(): number {
    return this.#busyLanes;
  }

  /** Most that a lane may be sent ahead now, in bytes: a power of two, so that it seldom changes. */
  get shareBytes(): number {
    const share = RECEIVE_BUDGET_BYTES / 2 ** Math.ceil(Math.log2(Math.max(1, this.#busyLanes)));
    return Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, share));
  }

  /** Bytes came on one of a connection's lanes. */
  received(session: Http2Session | undefined, bytes: number): void {
    const window = session && this.#sessions.get(session);
    if (window === undefined) return;
    window.received += bytes;
    if (window.sampling || window.received < MIN_WINDOW_BYTES) return;
    const now = performance.now();
    if (now - window.changedAtMs < INTERVAL_MS) return;
    window.changedAtMs = now;
    if (window.told > this.shareBytes) this.#tell(window);
    else if (window.received >= window.told / 2) this.#sample(window);
    window.received = 0;
  }

  /** Measures what comes while a ping goes to the peer and back. */
  #sample(window: SessionWindow): void {
    if (window.session.destroyed) return;
    window.sampling = window.session.ping(() => {
      window.sampling = false;
      // A window that was used up within a round trip is what held the sender back.
      if (window.received >= (window.told * 2) / 3) window.wanted = Math.max(window.wanted, window.told * 2);
      this.#tell(window);
    });
  }

  #tell(window: SessionWindow): void {
    const bytes = Math.min(window.wanted, this.shareBytes);
    if (bytes === window.told || window.session.destroyed) return;
    window.told = bytes;
    window.session.settings({ initialWindowSize: bytes });
  }
}

/** The windows of this process. */
export const receiveWindows = new ReceiveWindows();
