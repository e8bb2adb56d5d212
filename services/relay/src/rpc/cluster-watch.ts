import type { Subject } from "@fairlead/authentication";
import { tokenExpired } from "@fairlead/authorization";
import { type Cluster, Hop } from "@fairlead/protocol";
import type { Admission } from "../access/admission.ts";
import type { ClusterStates } from "../clusters/cluster-states.ts";
import type { ClusterRecord, Clusters } from "../clusters/clusters.ts";

/** How long is waited for a change at once, in milliseconds: what a timer takes at most is less than a month. */
const LONGEST_WAIT_MS = 60_000;

/** What a watch of clusters is made of. */
export interface WatchedClusters {
  admission: Admission;
  clusters: Clusters;
  states: ClusterStates;
  toMessage(cluster: ClusterRecord): Cluster;
}

/**
 * The caller's clusters, and then each that changes. A cluster that changes again before it was sent is sent once, as it is
 * then: what waits is bounded by the clusters that there are. Whoever loses access to one is told that it is gone.
 *
 * @throws FairleadError TOKEN_REFUSED when the caller's token has expired
 */
export async function* watchClusters(watched: WatchedClusters, caller: Subject, signal: AbortSignal) {
  const { admission, clusters, states, toMessage } = watched;
  const changed = new Set<string>();
  let wake = (): void => {};
  const stop = states.onChange(({ cluster }) => {
    changed.add(cluster);
    wake();
  });
  signal.addEventListener("abort", () => wake(), { once: true });
  try {
    const shown = new Set<string>();
    for (const cluster of admission.visible(caller)) {
      shown.add(cluster.name);
      yield { cluster: toMessage(cluster) };
    }
    while (!signal.aborted) {
      if (caller.expiresAtMs <= Date.now()) throw tokenExpired(Hop.RELAY);
      for (const name of changed) {
        changed.delete(name);
        const cluster = clusters.get(name);
        if (cluster && admission.sees(caller, cluster)) {
          shown.add(name);
          yield { cluster: toMessage(cluster) };
        } else if (shown.delete(name)) yield { cluster: { name }, removed: true };
      }
      if (changed.size > 0 || signal.aborted) continue;
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      // A timer may fire a moment before its time by the clock: then it is set anew.
      const timer = setTimeout(resolve, Math.min(Math.max(caller.expiresAtMs - Date.now(), 1), LONGEST_WAIT_MS));
      await promise;
      clearTimeout(timer);
    }
  } finally {
    stop();
  }
}
