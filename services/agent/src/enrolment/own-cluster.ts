import type { Logger } from "@fairlead/service";
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node";
import { SecretStore } from "./secret-store.ts";
import type { StateStore } from "./state-store.ts";

/** What an agent in a cluster knows of it and keeps there, as its own service account. */
export interface OwnCluster {
  store: StateStore;
  /** The uid of the namespace kube-system; empty if the account may not read it. */
  uid: string;
  /** How many nodes it has; 0 if the account may not count them. */
  nodeCount(): Promise<number>;
}

/**
 * @param secret NAMESPACE/NAME of the Secret that the state is kept in
 * @throws Error if this is no pod
 */
export async function ownCluster(secret: string, log: Pick<Logger, "warn">): Promise<OwnCluster> {
  const [namespace, name, ...more] = secret.split("/");
  if (!namespace || !name || more.length > 0) throw new Error(`--state-secret ${secret}: NAMESPACE/NAME is due`);
  const config = new KubeConfig();
  config.loadFromCluster();
  const api = config.makeApiClient(CoreV1Api);
  const store = new SecretStore(api, namespace, name);
  return { store, uid: await uidOf(api, log), nodeCount: () => countNodes(api) };
}

/** The first one, and how many more there are (Kubernetes API concepts, "Retrieving large results sets in chunks"). */
async function countNodes(api: CoreV1Api): Promise<number> {
  try {
    const { items, metadata } = await api.listNode({ limit: 1 });
    return items.length + (metadata?.remainingItemCount ?? 0);
  } catch {
    return 0; // as where the account may not
  }
}

async function uidOf(api: CoreV1Api, log: Pick<Logger, "warn">): Promise<string> {
  try {
    return (await api.readNamespace({ name: "kube-system" })).metadata?.uid ?? "";
  } catch (err) {
    log.warn(
      { err },
      "cannot read the namespace kube-system: a copy of this agent's state in another cluster is not noticed",
    );
    return "";
  }
}
