import type { ProofKey } from "@fairlead/authentication";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { LanePool } from "./lane-pool.ts";
import type { LocalIdentity } from "./local-identity.ts";
import { LocalProxy } from "./local-proxy.ts";

/** A cluster that is served, and where. */
export interface ServedCluster {
  name: string;
  /** On 127.0.0.1. */
  port: number;
  /** How many connections there are. */
  connections: number;
}

/** A cluster that cannot be served, and why. */
export interface Unserved {
  name: string;
  reason: string;
}

/** The local proxies of one process: one for each cluster, over the same lanes to one relay. */
export class ProxySet {
  readonly #relay: RelayConnection;
  readonly #pool: LanePool;
  readonly #proofKey: ProofKey | undefined;
  readonly #proxies = new Map<string, LocalProxy>();

  /** @param proofKey the key that the caller's tokens are bound to, if they are */
  constructor(relay: RelayConnection, proofKey: ProofKey | undefined) {
    this.#relay = relay;
    this.#proofKey = proofKey;
    this.#pool = new LanePool(relay.url, relay.openLanes);
  }

  /** What is served, by name. */
  get clusters(): ServedCluster[] {
    const served = [...this.#proxies].map(([name, { port, socketCount }]) => ({
      name,
      port,
      connections: socketCount,
    }));
    return served.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get counts(): Record<string, number> {
    return { ...this.#pool.counts, sockets: this.clusters.reduce((sum, { connections }) => sum + connections, 0) };
  }

  /**
   * Serves a cluster; one that is served already stays where it is, and takes up its certificate if that is a new one.
   *
   * @returns the port
   * @throws FairleadError ALREADY_EXISTS if the port is taken, or the cluster is served at another one
   */
  async add(name: string, identity: LocalIdentity): Promise<number> {
    const served = this.#proxies.get(name);
    if (served === undefined) {
      const proxy = new LocalProxy(name, identity, this.#pool, this.#relay.token, this.#proofKey);
      this.#proxies.set(name, proxy);
      try {
        await proxy.start();
      } catch (error) {
        this.#proxies.delete(name);
        throw error;
      }
      return proxy.port;
    }
    served.renew(identity);
    if (served.port === identity.port || identity.port === 0) return served.port;
    const sentence = `the proxy that runs serves ${name} at port ${served.port} already; leave --port out, or stop it`;
    throw new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, sentence);
  }

  /**
   * Serves clusters, as many as can be.
   *
   * @returns those that cannot, with why
   */
  async addAll(clusters: Iterable<readonly [name: string, identity: LocalIdentity]>): Promise<Unserved[]> {
    const unserved: Unserved[] = [];
    for (const [name, identity] of clusters) {
      try {
        await this.add(name, identity);
      } catch (error) {
        unserved.push({ name, reason: FairleadError.from(error, Hop.CLIENT_PROXY).message });
      }
    }
    return unserved;
  }

  /** Ends all connections. */
  stop(): void {
    for (const proxy of this.#proxies.values()) proxy.stop();
    this.#pool.close();
  }
}
