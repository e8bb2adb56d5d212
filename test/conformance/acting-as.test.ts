import { randomUUID } from "node:crypto";
import { impersonationRules } from "@fairlead/authorization";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { AuditLog } from "../support/audit-log.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();
/** Somebody who may impersonate joe and the group qa, and nobody and nothing else. */
const carol = { email: "carol@example.com", groups: ["support"] };
let own: TunnelToTestbed;
let namespace: string;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed, {
    person: carol,
    rules: impersonationRules({ actingAs: true }),
    args: (process) => (process === "identity proxy" ? ["--allow-as"] : []),
  });
  namespace = await createNamespace(admin);
});
afterAll(() => own.stop());

const RBAC = "/apis/rbac.authorization.k8s.io/v1";

/** Gives users or groups rights: in the namespace, or everywhere. */
async function give(subjects: object[], rules: object[], where = `${RBAC}/namespaces/${namespace}`): Promise<void> {
  const kind = where === RBAC ? "ClusterRole" : "Role";
  const metadata = { name: `as-${randomUUID().slice(0, 8)}` };
  await admin.create(`${where}/${kind.toLowerCase()}s`, { metadata, rules });
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind, name: metadata.name };
  await admin.create(`${where}/${kind.toLowerCase()}bindings`, { metadata, roleRef, subjects });
}

const user = (name: string) => ({ kind: "User", name, apiGroup: "rbac.authorization.k8s.io" });
const group = (name: string) => ({ kind: "Group", name, apiGroup: "rbac.authorization.k8s.io" });

beforeAll(async () => {
  const impersonate = (resource: string, name: string) => ({
    ...{ verbs: ["impersonate"], apiGroups: [""], resources: [resource], resourceNames: [name] },
  });
  const rights = [impersonate("users", "joe"), impersonate("groups", "qa"), impersonate("serviceaccounts", "builder")];
  await give([group("support")], rights, RBAC);
  const pods = { verbs: ["get", "list"], apiGroups: [""], resources: ["pods", "pods/log"] };
  await give([user("joe")], [pods, { verbs: ["create"], apiGroups: [""], resources: ["pods/exec"] }]);
  await give([group("qa")], [{ verbs: ["get", "list"], apiGroups: [""], resources: ["configmaps"] }]);
});

describe.each(streamingKubectls(cluster))("--as through the tunnel, with $name", ({ kubectl }) => {
  const as = (...args: string[]) => kubectl.against(own.tunnel.kubeconfig).run([...args, "-n", namespace]);

  it("acts as a person whom the caller may be, with that person's rights alone", async () => {
    expect((await as("get", "pods")).stderr).toMatch(/carol@example.com.*cannot list/);
    expect(await as("get", "pods", "--as", "joe")).toMatchObject({ code: 0 });
    expect((await as("get", "secrets", "--as", "joe")).stderr).toMatch(/"joe" cannot list resource "secrets"/);
  });

  it("acts with a group that the caller may be in", async () => {
    expect((await as("get", "configmaps", "--as", "joe")).code).toBe(1);
    expect(await as("get", "configmaps", "--as", "joe", "--as-group", "qa")).toMatchObject({ code: 0 });
  });

  it("acts as a service account that the caller may be", async () => {
    const account = `system:serviceaccount:${namespace}:builder`;
    expect((await as("get", "pods", "--as", account)).stderr).toContain(`"${account}" cannot list`);
  });

  it.each<[what: string, flags: string[], says: RegExp]>([
    ["another person", ["--as", "root"], /carol@example.com may not impersonate users "root"/],
    ["another group", ["--as", "joe", "--as-group", "ops"], /may not impersonate groups "ops"/],
    ["one group beside another", ["--as", "joe", "--as-group", "qa", "--as-group", "ops"], /groups "ops"/],
    ["a uid", ["--as", "joe", "--as-uid", "7"], /may not impersonate uids "7"/],
    ["another service account", ["--as", "system:serviceaccount:kube-system:default"], /serviceaccounts "default"/],
    ["system:masters", ["--as", "joe", "--as-group", "system:masters"], /nobody acts as system:masters/],
  ])("refuses %s", async (_what, flags, says) => {
    const { code, stderr } = await as("get", "pods", ...flags);
    expect(stderr).toMatch(says);
    expect(code).toBe(1);
  });

  it("leaves both persons in the cluster's audit log", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await as("get", "pods", "--as", "joe", "--as-group", "qa");
    const event = await audit.waitFor(
      ({ verb, impersonatedUser }) => verb === "list" && impersonatedUser?.username === "joe",
      "joe's list",
    );
    expect(event.impersonatedUser?.groups).toEqual(expect.arrayContaining(["qa"]));
    expect(event.impersonatedUser?.groups).not.toContain("support");
    expect(event.impersonatedUser?.extra).toMatchObject({
      "fairlead.dev/original-user": ["carol@example.com"],
      "fairlead.dev/cluster": [own.tunnel.cluster],
    });
  });
});

describeWithNode.each(streamingKubectls(cluster).slice(0, 1))("an exec with --as, with $name", ({ kubectl }) => {
  it("is the other person's too", async () => {
    const run = (name: string) =>
      kubectl.against(own.tunnel.kubeconfig).run(["exec", "p1", "--as", name, "--", "echo", "done"]);
    await give([user("joe")], [{ verbs: ["get", "create"], apiGroups: [""], resources: ["pods", "pods/exec"] }], RBAC);
    expect(await run("joe")).toMatchObject({ code: 0, stdout: "done\n" });
    expect((await run("root")).code).toBe(1);
  });
});
