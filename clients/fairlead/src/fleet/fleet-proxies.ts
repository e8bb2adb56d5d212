import { ErrorCode, FairleadError } from "@fairlead/protocol";
import type { ClusterAccess } from "../kubeconfig/cluster-access.ts";
import { runningProxy } from "../proxy/control/control-client.ts";
import { controlSocket } from "../proxy/control/control-socket.ts";
import { ProxySet } from "../proxy/proxy-set.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";

/**
 * Serves clusters for as long as a command runs. Each at its own port where that is free, so that kubectl finds what it
 * knows of the cluster (it keeps that by host and port); else at any. What the user's proxy serves already, it serves.
 *
 * @returns the clusters as they can be reached, and the proxies to be stopped
 */
export async function fleetProxies(
  relay: RelayConnection,
  accesses: readonly ClusterAccess[],
): Promise<{ reachable: ClusterAccess[]; proxies: ProxySet }> {
  const served = await servedAlready(relay, accesses);
  const proxies = new ProxySet(relay, undefined);
  const reachable: ClusterAccess[] = [];
  for (const access of accesses) {
    const { cluster, identity } = access;
    if (served.get(cluster) === identity.port) {
      reachable.push(access);
      continue;
    }
    const port = await proxies.add(cluster, identity).catch((error: unknown) => {
      if (!(error instanceof FairleadError) || error.code !== ErrorCode.ALREADY_EXISTS) throw error;
      return proxies.add(cluster, { ...identity, port: 0 });
    });
    const server = `https://127.0.0.1:${port}`;
    const entries = { ...access.entries, cluster: { ...access.entries.cluster, server } };
    reachable.push({ ...access, entries });
  }
  return { reachable, proxies };
}

/** What the user's own proxy serves of it, by name. Told to serve it again, it takes up certificates made anew. */
async function servedAlready(
  { url, identity }: RelayConnection,
  accesses: readonly ClusterAccess[],
): Promise<Map<string, number>> {
  const running = await runningProxy(controlSocket(url.origin, identity));
  if (running === undefined) return new Map();
  const ports = new Map((await running.getClientProxy({})).clusters.map(({ name, port }) => [name, port]));
  const ours = accesses.filter(({ cluster, identity: { port } }) => ports.get(cluster) === port);
  const clusters = ours.map(({ cluster, identity: { port } }) => ({ name: cluster, port }));
  if (clusters.length > 0) await running.addClusters({ clusters });
  return new Map(clusters.map(({ name, port }) => [name, port]));
}
