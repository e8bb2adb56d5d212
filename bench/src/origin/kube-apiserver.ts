import { join } from "node:path";
import { prepareCluster } from "@fairlead/demo";
import { startTestbed } from "@fairlead/test/support/testbed";
import { alice } from "@fairlead/test/support/tunnel";
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node";
import { endpointOfKubeconfig } from "./endpoint-of-kubeconfig.ts";
import type { Origin } from "./origin.ts";

/** How long the small ConfigMap's text is, in bytes: the answer is about 1 KiB with it. */
const SMALL_TEXT_BYTES = 700;

/**
 * A real kube-apiserver on a real etcd. The person is alice, cluster-admin: by her own client certificate where the
 * path carries TCP, by impersonation where it is ours, so with the same rights.
 */
export async function startKubeApiserver(): Promise<Origin> {
  const testbed = await startTestbed();
  try {
    const admin = new KubeConfig();
    admin.loadFromFile(testbed.adminKubeconfig);
    const impersonatorKubeconfig = join(testbed.dir, "identity-proxy.kubeconfig");
    await prepareCluster(admin, alice.email, "cluster-admin", impersonatorKubeconfig);
    await createSmallConfigMap(admin);
    const kubeconfig = await testbed.kubeconfigFor("alice", { user: alice.email, groups: alice.groups });
    return {
      name: "kube-apiserver",
      kubeconfig,
      endpoint: endpointOfKubeconfig(kubeconfig),
      impersonatorKubeconfig,
      adminKubeconfig: testbed.adminKubeconfig,
      smallGet: "/api/v1/namespaces/default/configmaps/bench",
      processes: testbed.pids(),
      stop: () => testbed.stop(),
    };
  } catch (error) {
    await testbed.stop();
    throw error;
  }
}

async function createSmallConfigMap(admin: KubeConfig): Promise<void> {
  const body = { metadata: { name: "bench" }, data: { text: "x".repeat(SMALL_TEXT_BYTES) } };
  await admin.makeApiClient(CoreV1Api).createNamespacedConfigMap({ namespace: "default", body });
}
