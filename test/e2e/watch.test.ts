import { describe, expect, it } from "@jest/globals";
import { type AuditEvent, AuditLog } from "../support/audit-log.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";

const { cluster, admin } = await setScene();

/** The life of the one watch in a namespace, as the apiserver saw it. */
async function watchIn(namespace: string): Promise<{ opened(): Promise<AuditEvent>; ended(): Promise<AuditEvent> }> {
  const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
  const at = (stage: AuditEvent["stage"]) => (event: AuditEvent) =>
    event.stage === stage && event.verb === "watch" && event.requestURI.startsWith(`/api/v1/namespaces/${namespace}/`);
  return {
    opened: () => audit.waitFor(at("ResponseStarted"), "an open watch"),
    // "At once", with room for a busy machine.
    ended: () => audit.waitFor(at("ResponseComplete"), "the watch's end", 3_000),
  };
}

describe.each(kubectls(cluster))("watching with $name", ({ kubectl }) => {
  it("shows what is created and changed after the watch was opened", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "before");
    const get = kubectl.start(["get", "configmaps", "-n", namespace, "-w", "--no-headers"]);
    await get.waitForOutput(/^before +0 /m);

    await createConfigMap(admin, namespace, "after");
    await get.waitForOutput(/^after +0 /m);

    const path = `/api/v1/namespaces/${namespace}/configmaps/after`;
    await admin.patch(path, { data: { colour: "green" } });
    await get.waitForOutput(/^after +1 /m);
    expect(get.hasExited).toBe(false);
    await get.stop();
  });

  it("waits for a condition, and ends when it comes", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "tide", { state: "low" });
    const { opened } = await watchIn(namespace);
    const condition = "--for=jsonpath={.data.state}=high";
    const wait = kubectl.start(["wait", condition, "configmap/tide", "-n", namespace]);
    await opened();
    expect(wait.hasExited).toBe(false);

    await admin.patch(`/api/v1/namespaces/${namespace}/configmaps/tide`, { data: { state: "high" } });
    expect(await wait.exited).toMatchObject({ code: 0 });
    expect(wait.stdout).toBe("configmap/tide condition met\n");
  });

  it("gives up waiting after --timeout, with an error", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "tide");
    const condition = "--for=jsonpath={.data.state}=high";
    const args = ["wait", condition, "configmap/tide", "-n", namespace, "--timeout=1s"];
    const outcome = await kubectl.run(args);
    expect(outcome).toMatchObject({ code: 1 });
    expect(outcome.stderr).toMatch(/timed out waiting for the condition/);
  });

  it("ends a watch after --request-timeout, at both ends", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "before");
    const { ended } = await watchIn(namespace);
    const args = ["get", "configmaps", "-n", namespace, "-w", "--request-timeout=1s"];
    const outcome = await kubectl.run(args, { timeoutMs: 10_000 });
    expect(outcome).toMatchObject({ signal: null });
    expect(outcome.stdout).toMatch(/^before /m);
    await ended();
  });

  it("ends a watch on Ctrl-C, and the apiserver learns of it", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "before");
    const { opened, ended } = await watchIn(namespace);
    const get = kubectl.start(["get", "configmaps", "-n", namespace, "-w"]);
    await get.waitForOutput(/^before /m);
    await opened();

    get.signal("SIGINT");
    await get.exited;
    await ended();
  });
});
