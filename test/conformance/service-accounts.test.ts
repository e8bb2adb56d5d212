import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { AuditLog } from "../support/audit-log.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { createNamespace } from "../support/namespace.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin } = await setScene();
const ISSUER = "https://kubernetes.default.svc";
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
let own: TunnelToTestbed;
let namespace: string;
let account: string;

beforeAll(async () => {
  // The relay judges the accounts' tokens by the cluster's own keys, which the cluster shows to everybody.
  await admin.create(`${RBAC}/clusterrolebindings`, {
    metadata: { name: "keys-for-everybody" },
    roleRef: {
      apiGroup: "rbac.authorization.k8s.io",
      kind: "ClusterRole",
      name: "system:service-account-issuer-discovery",
    },
    subjects: [{ kind: "Group", name: "system:unauthenticated", apiGroup: "rbac.authorization.k8s.io" }],
  });
  const certificateAuthority = await readFile(cluster.testbed.caFile, "utf8");
  const discoveryURL = `${cluster.testbed.server}/.well-known/openid-configuration`;
  const entry = {
    issuer: { url: ISSUER, discoveryURL, certificateAuthority, audiences: [ISSUER] },
    claimMappings: { username: { claim: "sub", prefix: "testbed:" } },
  };
  own = await startTunnel(cluster.testbed, {
    moreIssuers: { relay: [entry] },
    args: (process) => (process === "identity proxy" ? ["--service-account-issuer", ISSUER] : []),
  });
  namespace = await createNamespace(admin);
  account = `system:serviceaccount:${namespace}:builder`;
  await admin.create(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: "builder" } });
  await admin.create(`${RBAC}/namespaces/${namespace}/roles`, {
    metadata: { name: "builder" },
    rules: [{ verbs: ["get", "list", "watch"], apiGroups: [""], resources: ["configmaps"] }],
  });
  await admin.create(`${RBAC}/namespaces/${namespace}/rolebindings`, {
    metadata: { name: "builder" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "builder" },
    subjects: [{ kind: "ServiceAccount", name: "builder", namespace }],
  });
  const administrator = { email: "administrator@fairlead.dev", groups: [] };
  const rule = ["rules", "create", "builder", "--user", `testbed:${account}`, "--cluster", own.tunnel.cluster];
  await own.tunnel.cli(administrator, ...rule);
});
afterAll(async () => {
  await own.stop();
  await admin.delete(`${RBAC}/clusterrolebindings/keys-for-everybody`);
});

/** A token of the account's, in the place of alice's. */
async function useToken(audiences: string[] = [], changed = (token: string) => token): Promise<void> {
  const review = await admin.create(`/api/v1/namespaces/${namespace}/serviceaccounts/builder/token`, {
    spec: { audiences, expirationSeconds: 600 },
  });
  await writeFile(own.tunnel.tokenFile(alice), changed(Object(review.status).token));
}

describe.each(streamingKubectls(cluster).slice(0, 2))("a service account's own token, with $name", ({ kubectl }) => {
  it("gets through unchanged: the cluster sees the account, and nobody impersonating", async () => {
    await useToken();
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const through = kubectl.against(own.tunnel.kubeconfig);
    expect(await through.run(["get", "configmaps", "-n", namespace, "-o", "name"])).toMatchObject({ code: 0 });
    const event = await audit.waitFor(
      ({ verb, requestURI }) => verb === "list" && requestURI.includes(namespace),
      "a list",
    );
    expect(event.user.username).toBe(account);
    expect(event.impersonatedUser).toBeUndefined();
    expect((await through.run(["get", "secrets", "-n", namespace])).stderr).toContain(`"${account}" cannot list`);
  });
});

describe("a service account's own token", () => {
  const path = () => `/api/v1/namespaces/${namespace}/configmaps`;

  it("that is for another audience is refused by the relay", async () => {
    await useToken(["another"]);
    expect((await rawRequest(own.tunnel.kubeconfig, path())).status).toBe(401);
  });

  it("cannot impersonate", async () => {
    await useToken();
    expect((await rawRequest(own.tunnel.kubeconfig, path(), ["Impersonate-User", "root"])).status).toBe(403);
  });

  it("that the apiserver refuses cuts nobody else's requests, and people are impersonated beside it", async () => {
    await useToken();
    expect((await rawRequest(own.tunnel.kubeconfig, path())).status).toBe(200);
    await admin.delete(`/api/v1/namespaces/${namespace}/serviceaccounts/builder`);
    const refused = async () => (await rawRequest(own.tunnel.kubeconfig, path())).status === 401;
    for (let i = 0; i < 100 && !(await refused()); i++) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await refused()).toBe(true);
    await writeFile(own.tunnel.tokenFile(alice), await own.tunnel.issuer.tokenFor(alice));
    expect((await rawRequest(own.tunnel.kubeconfig, path())).status).toBe(200);
  });
});
