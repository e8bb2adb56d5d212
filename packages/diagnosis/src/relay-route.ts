import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { connectThrough, type HttpProxy, proxyFor } from "@fairlead/protocol";
import { Failure, reasonOf } from "./checks.ts";

/** How long each step to the relay may take, in milliseconds. */
export const STEP_MS = 5_000;

/** The relay, as it is dialled. */
export interface RelayAddress {
  host: string;
  port: number;
  /** The authority that signed its certificate, if it is not one of the system's. */
  tls: Pick<ConnectionOptions, "ca">;
}

/** The way to the relay up to TCP: its name, a connection, and the HTTP proxy that is to make it. */
export class RelayRoute {
  readonly #relay: RelayAddress;
  #proxy: HttpProxy | undefined;
  #socket: Socket | undefined;

  constructor(relay: RelayAddress) {
    this.#relay = relay;
  }

  /** Resolves the name of the relay, or of the HTTP proxy: which resolves the relay's then. */
  async name(): Promise<string> {
    this.#proxy = this.#proxyOf();
    const { host } = this.#next;
    if (isIP(host) > 0) return `${host} is an address`;
    try {
      const addresses = await lookup(host, { all: true });
      return `${host} is ${addresses.map(({ address }) => address).join(", ")}`;
    } catch (cause) {
      const where = this.#proxy ? "HTTPS_PROXY" : "the relay's address";
      const remedy = `check the name in ${where}, and this machine's DNS: nslookup ${host}`;
      throw new Failure("name", `${host}: ${reasonOf(cause)}`, remedy, { cause });
    }
  }

  /** Connects to the next machine: the relay, or the HTTP proxy. */
  async connection(): Promise<string> {
    const { host, port } = this.#next;
    const startedAt = performance.now();
    this.#socket = await this.#connected(connect({ host, port, timeout: STEP_MS }));
    const tookMs = Math.round(performance.now() - startedAt);
    return `${this.#socket.remoteAddress}:${port} takes connections (${tookMs} ms)`;
  }

  /** Has the HTTP proxy connect, if there is one. */
  async proxy(): Promise<string> {
    const proxy = this.#proxy;
    if (proxy === undefined) return "none (no HTTPS_PROXY for this address)";
    this.#socket?.destroy();
    const { host, port } = this.#relay;
    try {
      this.#socket = await connectThrough(proxy, host, port, AbortSignal.timeout(STEP_MS));
    } catch (cause) {
      const seen = reasonOf(cause);
      throw new Failure("proxy", seen, proxyRemedy(seen, host), { cause });
    }
    return `${proxy.host}:${proxy.port} (HTTPS_PROXY) connects to ${host}:${port}`;
  }

  /** The connection that these have made, for TLS. Its owner closes it. */
  get socket(): Socket {
    if (this.#socket === undefined) throw new Error("there is no connection yet");
    return this.#socket;
  }

  close(): void {
    this.#socket?.destroy();
  }

  get #next(): { host: string; port: number } {
    return this.#proxy ?? this.#relay;
  }

  #proxyOf(): HttpProxy | undefined {
    try {
      return proxyFor(this.#relay.host, this.#relay.port);
    } catch (cause) {
      throw new Failure("proxy", reasonOf(cause), "correct HTTPS_PROXY, or unset it", { cause });
    }
  }

  async #connected(socket: Socket): Promise<Socket> {
    const { host, port } = this.#next;
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    socket.once("connect", () => resolve(socket.setTimeout(0)));
    socket.once("timeout", () => reject(new Error(`no answer within ${STEP_MS / 1_000} s`)));
    socket.on("error", reject);
    try {
      return await promise;
    } catch (cause) {
      socket.destroy();
      const seen = `${host}:${port}: ${reasonOf(cause)}`;
      throw new Failure("connection", seen, connectionRemedy(seen, port), { cause });
    }
  }
}

function connectionRemedy(seen: string, port: number): string {
  if (/ECONNREFUSED/.test(seen))
    return "nothing listens there: check the address and the port, and that the relay runs; a firewall may refuse too";
  return `a firewall drops it, or the machine is off: let TCP to port ${port} out here, and in there`;
}

function proxyRemedy(seen: string, host: string): string {
  if (/\(HTTP 407\)/.test(seen))
    return `put its credentials into HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT), or reach the relay past it: NO_PROXY=${host}`;
  return `have the proxy's keeper allow CONNECT to ${host}, or reach the relay past it: NO_PROXY=${host}`;
}
