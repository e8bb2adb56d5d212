import { createServer, type Server, type Socket } from "node:net";

/** How many handshakes are under way at once. */
const AT_ONCE = 64;
/** After this time a handshake does not count any more, in milliseconds: those of slow peers hold up nobody. */
const COUNTS_FOR_MS = 250;
/** Most connections that wait for theirs; those beyond are closed at once, and dial again. */
const MOST_WAITING = 10_000;
/** A connection that waited for longer is closed, in milliseconds: after 10 s our peers have given it up. */
const WAITS_FOR_MS = 8_000;

/** Limits, for tests. */
export interface PacedListenerOptions {
  atOnce?: number;
  countsForMs?: number;
  mostWaiting?: number;
  waitsForMs?: number;
}

/**
 * A listening socket that lets handshakes begin a few at a time. When a relay starts, all its agents dial at once, and
 * libuv works off all sockets that are readable, up to 48 times 1,024, before anything else may run: with 10,000 agents
 * the event loop stood still for 8 s. Nothing is read from a connection that waits.
 */
export class PacedListener {
  readonly server: Server;
  readonly #begin: (socket: Socket) => void;
  readonly #limits: Required<PacedListenerOptions>;
  /** Connections, the first to come first, and when they came. */
  readonly #waiting = new Map<Socket, number>();
  /** Handshakes under way, by the peer's address and port. */
  readonly #underWay = new Map<string, NodeJS.Timeout>();

  /** @param begin takes a connection, of which nothing was read yet; {@link done} is due when its handshake has ended */
  constructor(begin: (socket: Socket) => void, options: PacedListenerOptions = {}) {
    this.#begin = begin;
    const limits = { atOnce: AT_ONCE, countsForMs: COUNTS_FOR_MS, mostWaiting: MOST_WAITING, waitsForMs: WAITS_FOR_MS };
    this.#limits = { ...limits, ...options };
    this.server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#onConnection(socket));
  }

  /** How many connections wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The handshake of a connection has ended, well or not. @param socket it, or the TLS socket on it */
  done(socket: Socket): void {
    this.#free(keyOf(socket));
  }

  /** Takes no new connection; those that wait are closed. */
  close(): void {
    this.server.close();
    for (const socket of this.#waiting.keys()) socket.destroy();
    this.#waiting.clear();
  }

  #onConnection(socket: Socket): void {
    const { atOnce, mostWaiting } = this.#limits;
    if (this.#underWay.size < atOnce) this.#start(socket);
    else if (this.#waiting.size < mostWaiting) this.#waiting.set(socket, performance.now());
    else socket.destroy();
  }

  #start(socket: Socket): void {
    const key = keyOf(socket);
    this.#underWay.set(key, setTimeout(() => this.#free(key), this.#limits.countsForMs).unref());
    socket.once("close", () => this.#free(key));
    this.#begin(socket);
  }

  #free(key: string): void {
    clearTimeout(this.#underWay.get(key));
    if (!this.#underWay.delete(key)) return;
    const cameBefore = performance.now() - this.#limits.waitsForMs;
    for (const [socket, cameAt] of this.#waiting) {
      this.#waiting.delete(socket);
      if (cameAt >= cameBefore) return this.#start(socket);
      socket.destroy();
    }
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
