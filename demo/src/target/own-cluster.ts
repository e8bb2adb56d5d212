import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { prepareCluster } from "./prepare-cluster.ts";
import type { Target } from "./target.ts";

/** How to reach the user's own cluster. */
export interface OwnClusterOptions {
  /** The user's kubeconfig; undefined for kubectl's default. */
  kubeconfig: string | undefined;
  context: string;
  /** The ClusterRole that the demo's person gets. */
  role: string;
}

/**
 * The user's own cluster. What the demo needs there is made with the user's rights, and removed at the end.
 *
 * @param folder where the identity proxy's kubeconfig is written
 * @param user the demo's person
 * @throws Error if the context is unknown, or the user may not make what is needed
 */
export async function ownCluster(options: OwnClusterOptions, folder: string, user: string): Promise<Target> {
  const admin = new KubeConfig();
  if (options.kubeconfig === undefined) admin.loadFromDefault();
  else admin.loadFromFile(options.kubeconfig);
  const known = admin.getContexts().map((context) => context.name);
  if (!known.includes(options.context)) {
    throw new Error(`there is no context ${options.context} in the kubeconfig (there are: ${known.join(", ")})`);
  }
  admin.setCurrentContext(options.context);
  const impersonatorKubeconfig = join(folder, "identity-proxy.kubeconfig");
  const { name, undo } = await prepareCluster(admin, user, options.role, impersonatorKubeconfig);
  return {
    description: `your cluster (context ${options.context}), as ${user} with the role ${options.role}; what is made there is named ${name}`,
    cluster: "own",
    impersonatorKubeconfig,
    pids: {},
    remove: undo,
  };
}
