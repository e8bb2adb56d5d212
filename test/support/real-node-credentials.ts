import { join } from "node:path";
import type { ApiClientOptions } from "./api-client.ts";
import type { KeyPair } from "./certificate-authority.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import type { Place } from "./real-node-place.ts";
import { createPki } from "./testbed-pki.ts";

/** Who calls the apiserver, and as whom; Kubernetes' own names for them. */
const components = {
  kubelet: (node: string) => ({ user: `system:node:${node}`, groups: ["system:nodes"] }),
  "kube-controller-manager": () => ({ user: "system:kube-controller-manager", groups: [] }),
  "kube-scheduler": () => ({ user: "system:kube-scheduler", groups: [] }),
  "kube-proxy": () => ({ user: "system:kube-proxy", groups: [] }),
};

/**
 * Writes into `dir` what node.sh expects there: keys and certificates, and a kubeconfig for each that calls the apiserver.
 *
 * @returns how to call it with all rights
 */
export async function writeCredentials(dir: string, place: Place): Promise<ApiClientOptions & { kubeconfig: string }> {
  const { NODE_IP, API_IP } = place.addresses;
  const service = ["kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
  const pki = await createPki(dir, { apiserver: [NODE_IP, API_IP, ...service], kubelet: [NODE_IP, place.name] });
  const access = { server: `https://${NODE_IP}:6443`, caFile: pki.authority.certFile };
  const write = (name: string, client: KeyPair): Promise<string> =>
    writeKubeconfig(join(dir, `${name}.kubeconfig`), { ...access, client });
  for (const [name, person] of Object.entries(components)) {
    await write(name, await pki.authority.issueClient(`${name}-client`, person(place.name)));
  }
  return { ...access, client: pki.admin, kubeconfig: await write("admin", pki.admin) };
}
