import type { ProofKey } from "@fairlead/authentication";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { exclusively } from "../../files/exclusive.ts";
import type { ClusterAccess } from "../../kubeconfig/cluster-access.ts";
import type { RelayConnection } from "../../relay/relay-connection.ts";
import { localIdentity } from "../local-identity.ts";
import { ProxySet, type Unserved } from "../proxy-set.ts";
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

/** What came of it. */
export interface Serving {
  /** A proxy of this process; undefined if it joined another. */
  own: { set: ProxySet; stop(): void } | undefined;
  /** Clusters that cannot be served, with why; never all of them. */
  unserved: readonly Unserved[];
}

/**
 * Serves clusters: by the user's client proxy that runs, or, if there is none, by one of this process. However many start
 * at the same moment, one serves and the others join it.
 *
 * @throws FairleadError ALREADY_EXISTS if none of them can be, or another process does not come to an end with starting
 */
export async function ownOrJoined(wanted: Wanted): Promise<Serving> {
  const { relay, accesses, proofKey, dpopKey, stopped } = wanted;
  const socket = controlSocket(relay.url.origin, identityOf(relay, dpopKey));
  return exclusively(controlLock(socket), START_WAIT_MS, "starts its proxy", async () => {
    const running = await runningProxy(socket);
    if (running) {
      const clusters = accesses.map(({ cluster, identity: { port } }) => ({ name: cluster, port }));
      const { unserved } = await running.addClusters({ clusters });
      return { own: undefined, unserved: someServed(unserved, clusters.length) };
    }
    const set = new ProxySet(relay, proofKey);
    const server = new ControlServer(socket, {
      relay: relay.url.origin,
      identity: identityOf(relay, dpopKey),
      logFile: process.env.FAIRLEAD_LOG_FILE ?? "",
      clusters: () => set.clusters,
      add: async (clusters) => {
        const identity = async (name: string, port: number) => ({ ...(await localIdentity(relay, name)), port });
        return set.addAll(
          await Promise.all(clusters.map(async ({ name, port }) => [name, await identity(name, port)] as const)),
        );
      },
      stop: () => stop(),
    });
    const stop = (): void => {
      set.stop();
      server.close();
      stopped();
    };
    try {
      const unserved = await set.addAll(accesses.map(({ cluster, identity }) => [cluster, identity] as const));
      someServed(unserved, accesses.length);
      await server.listen();
      return { own: { set, stop }, unserved };
    } catch (error) {
      set.stop();
      throw error;
    }
  });
}

/** @throws FairleadError ALREADY_EXISTS if no cluster is served at all */
export function someServed<T extends Unserved>(unserved: readonly T[], of: number): readonly T[] {
  const [first] = unserved;
  if (first === undefined || unserved.length < of) return unserved;
  throw new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, first.reason);
}

/** Whose requests a proxy makes: one that takes other tokens, or proves them by another key, is another one. */
export function identityOf(relay: RelayConnection, dpopKey: string | undefined): string {
  return dpopKey === undefined ? relay.identity : `${relay.identity}, bound to the key ${dpopKey}`;
}
