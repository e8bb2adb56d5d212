import { connect as connectPlain, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, createSecureContext } from "node:tls";
import { serverNameOf } from "@fairlead/protocol";
import { UpstreamConnection } from "./upstream-connection.ts";

/** How long a connection to the apiserver, TLS included, may take, in milliseconds. kubectl is to hear within 5 s. */
const CONNECT_TIMEOUT_MS = 4_000;
/** How long a connection is kept idle, in milliseconds: less than the apiserver's own 90 s, so that it never closes one that we just chose. */
const IDLE_CONNECTION_MS = 30_000;
/** Most connections kept idle. */
const MAX_IDLE_CONNECTIONS = 256;

/** Where the apiserver is. */
export interface UpstreamAddress {
  host: string;
  port: number;
  /** undefined for plain HTTP, in tests. */
  tls?: ConnectionOptions;
}

/**
 * HTTP/1.1 connections to the apiserver, kept for the next request. The last one used is the first one taken, so that
 * what the load does not need falls idle and is closed.
 */
export class UpstreamPool {
  readonly #address: UpstreamAddress;
  readonly #tls: ConnectionOptions | undefined;
  readonly #all = new Set<UpstreamConnection>();
  readonly #idle: { connection: UpstreamConnection; sinceMs: number }[] = [];
  readonly #trim = setInterval(() => this.#closeIdle(), IDLE_CONNECTION_MS / 4).unref();
  #session: Buffer | undefined;
  #retired = false;

  constructor(address: UpstreamAddress) {
    this.#address = address;
    const { tls, host } = address;
    // One context for all connections: to read the certificates costs a millisecond each time.
    this.#tls = tls && {
      ALPNProtocols: ["http/1.1"],
      ...serverNameOf(host),
      ...tls,
      secureContext: createSecureContext(tls),
    };
  }

  /** How many connections there are, in use or idle. */
  get size(): number {
    return this.#all.size;
  }

  /** An idle connection, or a new one. */
  take(): UpstreamConnection {
    for (let entry = this.#idle.pop(); entry; entry = this.#idle.pop()) {
      if (!entry.connection.destroyed) return entry.connection;
    }
    return this.open(false);
  }

  /** A new connection. @param halfOpen whether our direction outlives the peer's, for an upgrade */
  open(halfOpen: boolean): UpstreamConnection {
    const { host, port } = this.#address;
    const target = { host, port, allowHalfOpen: halfOpen };
    const session = this.#session && { session: this.#session };
    const socket: Socket = this.#tls ? connectTls({ ...target, ...this.#tls, ...session }) : connectPlain(target);
    const connection = new UpstreamConnection(socket, (free) => this.#keep(free));
    const timer = setTimeout(() => socket.destroy(new Error("no connection within 4 s")), CONNECT_TIMEOUT_MS);
    socket.once(this.#tls ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      connection.connected();
    });
    socket.on("session", (ticket: Buffer) => {
      this.#session = ticket;
    });
    socket.once("close", () => {
      clearTimeout(timer);
      this.#all.delete(connection);
    });
    this.#all.add(connection);
    return connection;
  }

  /** Keeps no connection any more; those in use end with their requests. */
  retire(): void {
    this.#retired = true;
    clearInterval(this.#trim);
    for (const { connection } of this.#idle.splice(0)) connection.destroy();
  }

  #keep(connection: UpstreamConnection): void {
    if (this.#retired || this.#idle.length >= MAX_IDLE_CONNECTIONS) return connection.destroy();
    this.#idle.push({ connection, sinceMs: Date.now() });
  }

  #closeIdle(): void {
    const before = Date.now() - IDLE_CONNECTION_MS * 0.75; // the timer comes a quarter late at most
    const at = this.#idle.findIndex(({ sinceMs }) => sinceMs >= before);
    const old = this.#idle.splice(0, at < 0 ? this.#idle.length : at);
    for (const { connection } of old) connection.destroy();
  }
}
