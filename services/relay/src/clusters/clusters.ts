import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Store } from "../store/store.ts";

/** A cluster as the relay keeps it. */
export interface ClusterRecord {
  name: string;
  labels: Record<string, string>;
  lastSeenAtMs: number | undefined;
}

/** RFC 1123 label: what Kubernetes takes as a name, and what is safe in a path and a file name. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** The clusters. Names and labels are held in memory too: each request asks for them. */
export class Clusters {
  readonly #store: Store;
  readonly #byName = new Map<string, ClusterRecord>();
  /** How often they were changed here, begun and done. */
  #changes = 0;

  private constructor(store: Store) {
    this.#store = store;
  }

  /** Reads the clusters from the store. */
  static async load(store: Store): Promise<Clusters> {
    const clusters = new Clusters(store);
    await clusters.reload();
    return clusters;
  }

  /** Reads them anew: another relay of the same database may have changed them. */
  async reload(): Promise<void> {
    const before = this.#changes;
    const rows = await this.#store.selectFrom("clusters").selectAll().execute();
    if (this.#changes !== before) return; // changed here meanwhile: what was read may be older
    this.#byName.clear();
    for (const { name, labels, last_seen_at_ms } of rows) {
      this.#byName.set(name, { name, labels: JSON.parse(labels), lastSeenAtMs: last_seen_at_ms ?? undefined });
    }
  }

  /** All clusters, by name. */
  list(): ClusterRecord[] {
    return [...this.#byName.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  get(name: string): ClusterRecord | undefined {
    return this.#byName.get(name);
  }

  /**
   * Adds a cluster.
   *
   * @throws FairleadError MALFORMED_REQUEST for a name that is no DNS label, ALREADY_EXISTS
   */
  async create(name: string, labels: Record<string, string>): Promise<ClusterRecord> {
    checkName(name, "cluster");
    if (this.#byName.has(name)) throw alreadyExists("cluster", name);
    this.#changes++;
    const { numInsertedOrUpdatedRows: made } = await this.#store
      .insertInto("clusters")
      .values({ name, labels: JSON.stringify(labels), created_at_ms: Date.now(), last_seen_at_ms: null })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow();
    if (made === 0n) throw alreadyExists("cluster", name); // made at the same instant
    const cluster = { name, labels, lastSeenAtMs: undefined };
    this.#byName.set(name, cluster);
    this.#changes++;
    return cluster;
  }

  /** Removes a cluster, and with it what its agents join and attach with. @throws FairleadError CLUSTER_UNKNOWN */
  async delete(name: string): Promise<void> {
    if (!this.#byName.has(name)) throw clusterUnknown(name);
    this.#changes++;
    await this.#store.deleteFrom("clusters").where("name", "=", name).execute();
    this.#byName.delete(name);
    this.#changes++;
  }

  /** Notes that a cluster's agent is, or was until now, attached. */
  async seen(name: string): Promise<void> {
    const now = Date.now();
    const cluster = this.#byName.get(name);
    if (cluster) cluster.lastSeenAtMs = now;
    this.#changes++;
    await this.#store.updateTable("clusters").set({ last_seen_at_ms: now }).where("name", "=", name).execute();
  }
}

/** @throws FairleadError MALFORMED_REQUEST if the name is no DNS label */
export function checkName(name: string, what: string): void {
  if (NAME.test(name)) return;
  const sentence = `a ${what}'s name is at most 63 lower-case letters, digits and hyphens, such as prod-eu1`;
  throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.RELAY, sentence);
}

/** The same for a cluster that is not there and for one that the caller may not know of. */
export function clusterUnknown(name: string): FairleadError {
  const sentence = `there is no cluster ${name}, or you have no access to it; \`fairlead clusters\` lists yours`;
  return new FairleadError(ErrorCode.CLUSTER_UNKNOWN, Hop.RELAY, sentence);
}

export function alreadyExists(what: string, name: string): FairleadError {
  return new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.RELAY, `there is a ${what} ${name} already`);
}
