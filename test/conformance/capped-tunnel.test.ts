import { capRules, impersonationRules } from "@fairlead/authorization";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { AuditLog } from "../support/audit-log.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();
const CAP = ["get,list,watch:pods,pods/log,configmaps,namespaces,nodes", "get:/livez"];
let own: TunnelToTestbed;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed, {
    rules: impersonationRules({}, CAP.flatMap(capRules)),
    args: (process) => (process === "identity proxy" ? ["--require-cap"] : []),
  });
});
afterAll(() => own.stop());

describeWithNode.each(streamingKubectls(cluster))("a cluster-admin in a capped tunnel, with $name", ({ kubectl }) => {
  const through = () => kubectl.against(own.tunnel.kubeconfig);

  it("reads what the cap lets through, and watches it", async () => {
    expect(await through().run(["get", "pod", "p1", "-o", "name"])).toMatchObject({ code: 0, stdout: "pod/p1\n" });
    expect(await through().run(["logs", "p1"])).toMatchObject({ code: 0 });
    const namespace = await createNamespace(admin);
    const watch = through().start(["get", "configmaps", "-n", namespace, "-w", "-o", "name"]);
    await watch.waitForOutput(/kube-root-ca/);
    await createConfigMap(admin, namespace, "buoy");
    await watch.waitForOutput(/configmap\/buoy/);
    await watch.stop();
  });

  it("cannot delete: the apiserver itself refuses it, and its audit log says so", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "buoy");
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const { code, stderr } = await through().run(["delete", "configmap", "buoy", "-n", namespace]);
    expect(stderr).toMatch(/impersonate-on:user-info:delete/);
    expect(stderr).not.toMatch(/fairlead:/);
    expect(code).toBe(1);
    const event = await audit.waitFor(
      ({ verb, requestURI }) => verb === "delete" && requestURI.includes(namespace),
      "it",
    );
    expect(event.responseStatus?.code).toBe(403);
    expect(
      await kubectl.against(cluster.testbed.adminKubeconfig).run(["get", "configmap", "buoy", "-n", namespace]),
    ).toMatchObject({ code: 0 });
  });

  it.each([
    ["exec", ["exec", "p1", "--", "true"]],
    ["create", ["create", "configmap", "never"]],
    ["read secrets", ["get", "secrets"]],
    ["patch", ["annotate", "pod", "p1", "never=set"]],
  ])("cannot %s", async (_what, args) => {
    const { code, stderr } = await through().run(args);
    expect(stderr).toMatch(/impersonate/);
    expect(code).toBe(1);
  });
});

describe("a capped tunnel", () => {
  it("lets a path through that the cap names, and no other", async () => {
    expect((await rawRequest(own.tunnel.kubeconfig, "/livez")).status).toBe(200);
    expect((await rawRequest(own.tunnel.kubeconfig, "/metrics")).status).toBe(403);
  });

  it("says in metrics that it is capped", async () => {
    const metrics = await (await fetch(`${own.tunnel.privateUrls["identity proxy"]}/metrics`)).text();
    expect(metrics).toMatch(/^fairlead_capped 1$/m);
  });

  it("leaves the audit log with the person", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces/default/pods?limit=11");
    const event = await audit.waitFor(({ requestURI }) => requestURI.includes("limit=11"), "a list");
    expect(event.impersonatedUser).toMatchObject({ username: alice.email });
  });
});

describe("an identity proxy that must be capped", () => {
  it("does not start with plain rights", async () => {
    const started = startTunnel(cluster.testbed, {
      args: (process) => (process === "identity proxy" ? ["--require-cap"] : []),
    });
    await expect(started).rejects.toThrow(/--require-cap/);
  });
});
