import type { Cluster } from "@fairlead/protocol";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { directServer } from "../kubeconfig/direct.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import type { Hub } from "./hub.ts";
import { MANAGER, MANAGER_LABEL, type ProfileObject, profileObject, RELAY_LABEL, relayId } from "./profile-object.ts";

/** What a Kubernetes object can be called, and a cluster at the relay (RFC 1123). */
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What one round has changed. */
export interface Round {
  published: string[];
  removed: string[];
  /** Why a cluster's object could not be written or removed; the others were. */
  failed: { cluster: string; error: FairleadError }[];
  /** A sentence for each cluster with labels that are not in its object. */
  warnings: string[];
}

/** Keeps the objects of a hub as the clusters at the relay are. */
export class Publisher {
  readonly #relay: RelayConnection;
  /** What was written last, by cluster, as text: what has not changed is not written again. */
  readonly #written = new Map<string, string>();

  constructor(relay: RelayConnection) {
    this.#relay = relay;
  }

  /** Forgets what was written, so that the next round puts right what somebody else has changed at the hub. */
  forget(): void {
    this.#written.clear();
  }

  /**
   * The objects as they are to be.
   *
   * @returns one for each cluster that has an address, and the names of all clusters
   * @throws FairleadError if the relay cannot be asked
   */
  async objects(namespace: string): Promise<Round & { objects: ProfileObject[]; names: Set<string> }> {
    const { clusters } = await this.#relay.clusters.listClusters({});
    const round: Round = { published: [], removed: [], failed: [], warnings: [] };
    const objects: ProfileObject[] = [];
    for (const cluster of clusters) {
      await attempt(round, cluster.name, async () => {
        const { object, leftOut } = await this.#objectOf(cluster, namespace);
        objects.push(object);
        if (leftOut.length === 0) return;
        round.warnings.push(`${cluster.name}: no labels of Kubernetes: ${leftOut.map((key) => JSON.stringify(key))}`);
      });
    }
    return { ...round, objects, names: new Set(clusters.map(({ name }) => name)) };
  }

  /**
   * Makes the hub what the relay says, once. An object of the same name that is not ours is left alone, and so is what
   * belongs to another relay.
   *
   * @throws FairleadError if relay or hub cannot be asked at all
   */
  async publish(hub: Hub): Promise<Round> {
    const { objects, names, ...round } = await this.objects(hub.namespace);
    const there = await hub.list();
    const isOurs = (labels: Record<string, string>): boolean =>
      labels[MANAGER_LABEL] === MANAGER && labels[RELAY_LABEL] === relayId(this.#relay.url.origin);
    const others = new Set(there.filter(({ labels }) => !isOurs(labels)).map(({ name }) => name));
    const ours = new Set(there.filter(({ labels }) => isOurs(labels)).map(({ name }) => name));
    for (const object of objects) {
      const { name } = object.metadata;
      const text = JSON.stringify(object);
      if (ours.has(name) && this.#written.get(name) === text) continue;
      await attempt(round, name, async () => {
        if (others.has(name)) throw taken(name, hub.namespace);
        await hub.apply(object);
        this.#written.set(name, text);
        round.published.push(name);
      });
    }
    for (const name of ours) {
      if (names.has(name)) continue;
      await attempt(round, name, async () => {
        await hub.remove(name);
        this.#written.delete(name);
        round.removed.push(name);
      });
    }
    return round;
  }

  async #objectOf(cluster: Cluster, namespace: string) {
    const { name } = cluster;
    if (!NAME.test(name)) {
      const sentence = `it names a cluster ${JSON.stringify(name)}, which is no DNS label`;
      throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, sentence);
    }
    const { url, tls, clusters } = this.#relay;
    const { directUrl } = await clusters.getKubeconfig({ cluster: name });
    const address = { server: directServer(directUrl, url), ca: tls.ca };
    return profileObject(cluster, namespace, url.origin, address);
  }
}

async function attempt({ failed }: Round, cluster: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    failed.push({ cluster, error: FairleadError.from(error, Hop.CLIENT_PROXY) });
  }
}

function taken(name: string, namespace: string): FairleadError {
  const sentence = `the namespace ${namespace} of the hub has a ClusterProfile ${name} of another manager or relay, which is left alone; give another --namespace`;
  return new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.APISERVER, sentence);
}
