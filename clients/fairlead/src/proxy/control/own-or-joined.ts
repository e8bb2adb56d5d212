import type { ProofKey } from "@fairlead/authentication";
import { exclusively } from "../../files/exclusive.ts";
import type { ClusterAccess } from "../../kubeconfig/cluster-access.ts";
import type { RelayConnection } from "../../relay/relay-connection.ts";
import { localIdentity } from "../local-identity.ts";
import { ProxySet } from "../proxy-set.ts";
import { runningProxy } from "./control-client.ts";
import { ControlServer } from "./control-server.ts";
import { controlLock, controlSocket } from "./control-socket.ts";

/** How long another process may take to start, in milliseconds. */
const START_WAIT_MS = 15_000;

/** What is to be served. */
export interface Wanted {
  relay: RelayConnection;
  accesses: readonly ClusterAccess[];
  proofKey: ProofKey | undefined;
  /** The file of that key. */
  dpopKey: string | undefined;
  /** Called when the proxy was stopped, also by another program. */
  stopped(): void;
}

/** A proxy of this process. */
export interface OwnProxies {
  set: ProxySet;
  stop(): void;
}

/**
 * Serves clusters: by the user's client proxy that runs, or, if there is none, by one of this process. However many start
 * at the same moment, one serves and the others join it.
 *
 * @returns this process's own; undefined if it joined another
 * @throws FairleadError ALREADY_EXISTS if a port is taken, or another process does not come to an end with starting
 */
export async function ownOrJoined(wanted: Wanted): Promise<OwnProxies | undefined> {
  const { relay, accesses, proofKey, dpopKey, stopped } = wanted;
  const socket = controlSocket(relay.url.origin, identityOf(relay, dpopKey));
  return exclusively(controlLock(socket), START_WAIT_MS, "starts its proxy", async () => {
    const running = await runningProxy(socket);
    if (running) {
      await running.addClusters({
        clusters: accesses.map(({ cluster, identity: { port } }) => ({ name: cluster, port })),
      });
      return undefined;
    }
    const set = new ProxySet(relay, proofKey);
    const server = new ControlServer(socket, {
      relay: relay.url.origin,
      identity: identityOf(relay, dpopKey),
      logFile: process.env.FAIRLEAD_LOG_FILE ?? "",
      clusters: () => set.clusters,
      add: async (clusters) => {
        for (const { name, port } of clusters) await set.add(name, { ...(await localIdentity(relay.url, name)), port });
      },
      stop: () => stop(),
    });
    const stop = (): void => {
      set.stop();
      server.close();
      stopped();
    };
    try {
      for (const { cluster, identity } of accesses) await set.add(cluster, identity);
      await server.listen();
    } catch (error) {
      set.stop();
      throw error;
    }
    return { set, stop };
  });
}

/** Whose requests a proxy makes: one that takes other tokens, or proves them by another key, is another one. */
export function identityOf(relay: RelayConnection, dpopKey: string | undefined): string {
  return dpopKey === undefined ? relay.identity : `${relay.identity}, bound to the key ${dpopKey}`;
}
