import type { Http2Session } from "node:http2";

/** What one process may hold of what its peers have sent and nobody has taken yet, in bytes, over all lanes together. */
export const RECEIVE_BUDGET_BYTES = 128 * 1024 * 1024;
/** Where the windows of a connection begin, in bytes. */
export const FIRST_WINDOW_BYTES = 256 * 1024;
/** Most that a window becomes, in bytes: 160 MB/s over a round trip of 100 ms. */
const MAX_WINDOW_BYTES = 16 * 1024 * 1024;
/**
 * Most that it becomes on a connection without TLS, which is one within a machine, in bytes: 1 GB/s over a round trip of a
 * millisecond. What node may have to keep while a write waits (read-on.ts) is that much.
 */
const MAX_PLAIN_WINDOW_BYTES = 1024 * 1024;
/** Least that a lane's window becomes, however many lanes share the budget, in bytes. */
const MIN_WINDOW_BYTES = 16 * 1024;
/** What part of a window has to come within a round trip for it to grow. */
const GROWS_FROM = 3 / 8;
/** A connection that was silent for so long, in milliseconds, has no queues: a ping then takes what the way takes. */
const QUIET_MS = 250;
/** A way that has become longer counts from this round trip on, in milliseconds; less is a process that was busy. */
const FAR_MS = 10;
/** How often a new connection is pinged at once: the first round trip is slow in a process that has just begun. */
const FIRST_PINGS = 3;
/** How often a connection is measured and its windows changed at most, in milliseconds. */
const INTERVAL_MS = 100;

/** An http2 session of either side. Its own window's setter is missing from the type that both share. */
type Session = Http2Session & { setLocalWindowSize(bytes: number): void };

/** The windows of one connection. */
interface SessionWindow {
  readonly session: Session;
  /** The shortest round trip, in milliseconds: longer ones have waited in queues. Infinite before the first. */
  roundTripMs: number;
  /** What the bandwidth-delay product has asked for, in bytes. */
  wanted: number;
  /** The lanes' window that the peer was told, in bytes. */
  told: number;
  /** Bytes since the last look. */
  received: number;
  receivedAtMs: number;
  lookedAtMs: number;
}

/**
 * How much peers may send ahead (RFC 9113, 5.2). Each connection's windows follow its bandwidth-delay product: the rate at
 * which bytes come, times the shortest round trip that a ping took. They double for as long as they may be what holds
 * the sender back; where that is the CPU, they stay small, and what is sent next does not wait behind megabytes.
 *
 * The connection's own window bounds what is on the wire: node takes it up as bytes come, not as they are read. The
 * lanes' window bounds what a lane that is not read piles up here, so it is also held to the lane's share of one budget
 * for the process: at most the budget is held by lanes that have an exchange. An idle lane holds nothing, since between
 * exchanges no frame is legal.
 */
export class ReceiveWindows {
  readonly #sessions = new WeakMap<Http2Session, SessionWindow>();
  #busyLanes = 0;

  /** Takes in a new connection. */
  add(session: Session): void {
    const start = { wanted: FIRST_WINDOW_BYTES, told: FIRST_WINDOW_BYTES, received: 0, roundTripMs: Infinity };
    const now = performance.now();
    const window = { session, ...start, receivedAtMs: now, lookedAtMs: now };
    this.#sessions.set(session, window);
    session.setLocalWindowSize(FIRST_WINDOW_BYTES);
    measureRoundTrip(window, false, FIRST_PINGS);
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
    const now = performance.now();
    const wasQuiet = now - window.receivedAtMs > QUIET_MS;
    window.receivedAtMs = now;
    window.received += bytes;
    if (wasQuiet) measureRoundTrip(window, true);
    if (window.received < MIN_WINDOW_BYTES) return;
    const elapsedMs = now - window.lookedAtMs;
    if (elapsedMs < INTERVAL_MS || window.roundTripMs === Infinity) return;
    const perRoundTrip = (window.received * window.roundTripMs) / elapsedMs;
    window.lookedAtMs = now;
    window.received = 0;
    this.#change(window, perRoundTrip);
    measureRoundTrip(window, false);
  }

  /**
   * Grows when the window may be what holds the sender back: it then sends half of it a round trip or more, since more
   * is granted whenever half was taken.
   *
   * @param perRoundTrip the bandwidth-delay product, in bytes
   */
  #change(window: SessionWindow, perRoundTrip: number): void {
    const { session } = window;
    if (session.destroyed) return;
    const before = window.wanted;
    const most = session.encrypted ? MAX_WINDOW_BYTES : MAX_PLAIN_WINDOW_BYTES;
    if (perRoundTrip > before * GROWS_FROM) window.wanted = Math.min(most, before * 2);
    if (window.wanted !== before) session.setLocalWindowSize(window.wanted);
    const told = Math.min(window.wanted, this.shareBytes);
    if (told === window.told) return;
    window.told = told;
    session.settings({ initialWindowSize: told });
  }
}

/** @param quiet whether the ping meets no queue: then it may also say that the way has become longer */
function measureRoundTrip(window: SessionWindow, quiet: boolean, times = 1): void {
  if (times === 0 || window.session.destroyed) return;
  window.session.ping((error, roundTripMs) => {
    if (error !== null) return;
    const isLonger = quiet && roundTripMs > FAR_MS && roundTripMs > window.roundTripMs * 2;
    if (isLonger || roundTripMs < window.roundTripMs) window.roundTripMs = roundTripMs;
    measureRoundTrip(window, quiet, times - 1);
  });
}

/** The windows of this process. */
export const receiveWindows = new ReceiveWindows();
