import { writeFile } from "node:fs/promises";
import { impersonationRules, type PolicyRule } from "@fairlead/authorization";
import { CoreV1Api, type KubeConfig, RbacAuthorizationV1Api } from "@kubernetes/client-node";
import { stringify } from "yaml";

const NAMESPACE = "fairlead-demo";
const TOKEN_SECONDS = 24 * 60 * 60;

/** What was made in the cluster for the demo. */
export interface Prepared {
  /** What all of it is named, or begins with. */
  name: string;
  /** Removes all of it. */
  undo(): Promise<void>;
}

/**
 * Makes in a real cluster what the identity proxy needs, and gives the demo's person a role: a namespace, a service
 * account that can only impersonate, and a ClusterRoleBinding for the person.
 *
 * @param admin a kubeconfig that may do that
 * @param user the person's user name
 * @param role the ClusterRole that the person gets
 * @param file where the service account's kubeconfig is written, 0600
 * @param rules the rights of the identity proxy's account
 */
export async function prepareCluster(
  admin: KubeConfig,
  user: string,
  role: string,
  file: string,
  rules: PolicyRule[] = impersonationRules(),
): Promise<Prepared> {
  const core = admin.makeApiClient(CoreV1Api);
  const rbac = admin.makeApiClient(RbacAuthorizationV1Api);
  const suffix = Math.random().toString(36).slice(2, 8);
  const name = `${NAMESPACE}-${suffix}`; // its own for each demo, so that one does not undo another's
  const undo = async (): Promise<void> => {
    await Promise.allSettled([
      rbac.deleteClusterRoleBinding({ name: `${name}-person` }),
      rbac.deleteClusterRoleBinding({ name }),
      rbac.deleteClusterRole({ name }),
      core.deleteNamespace({ name }),
    ]);
  };
  try {
    await core.createNamespace({ body: { metadata: { name } } });
    await core.createNamespacedServiceAccount({ namespace: name, body: { metadata: { name: "identity-proxy" } } });
    await rbac.createClusterRole({ body: { metadata: { name }, rules } });
    await bind(rbac, name, name, { kind: "ServiceAccount", name: "identity-proxy", namespace: name });
    await bind(rbac, `${name}-person`, role, { kind: "User", name: user, apiGroup: "rbac.authorization.k8s.io" });
    await writeKubeconfig(admin, await serviceAccountToken(admin, name), file);
    return { name, undo };
  } catch (error) {
    await undo();
    throw error;
  }
}

type Subject = { kind: string; name: string; namespace?: string; apiGroup?: string };

async function bind(rbac: RbacAuthorizationV1Api, name: string, role: string, subject: Subject): Promise<void> {
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role };
  await rbac.createClusterRoleBinding({ body: { metadata: { name }, roleRef, subjects: [subject] } });
}

async function serviceAccountToken(admin: KubeConfig, namespace: string): Promise<string> {
  const answer = await admin.makeApiClient(CoreV1Api).createNamespacedServiceAccountToken({
    namespace,
    name: "identity-proxy",
    body: { spec: { audiences: [], expirationSeconds: TOKEN_SECONDS } },
  });
  if (!answer.status?.token) throw new Error("the cluster gave the identity proxy's service account no token");
  return answer.status.token;
}

/** A kubeconfig with the cluster of another one, and a bearer token. */
export async function writeKubeconfig(of: KubeConfig, token: string, file: string): Promise<void> {
  const cluster = of.getCurrentCluster();
  if (!cluster) throw new Error("the kubeconfig has no current cluster");
  const { server, caData, caFile, tlsServerName } = cluster;
  const entry = {
    server,
    ...(caData && { "certificate-authority-data": caData }),
    ...(caFile && { "certificate-authority": caFile }),
    ...(tlsServerName && { "tls-server-name": tlsServerName }),
  };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "cluster", cluster: entry }],
    users: [{ name: "identity-proxy", user: { token } }],
    contexts: [{ name: "cluster", context: { cluster: "cluster", user: "identity-proxy" } }],
    "current-context": "cluster",
  };
  await writeFile(file, stringify(config), { mode: 0o600 });
}
