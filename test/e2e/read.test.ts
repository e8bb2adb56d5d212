import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { type AuditEvent, AuditLog, actingUser } from "../support/audit-log.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";
import { itSince } from "../support/since.ts";
import { alice } from "../support/tunnel.ts";

const { cluster, admin } = await setScene();

describe.each(kubectls(cluster))("reading with $name", ({ kubectl }) => {
  let namespace: string;

  beforeAll(async () => {
    namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "lighthouse", { colour: "white, with a red stripe" });
  });

  it("shows an object as a table that the apiserver has laid out", async () => {
    const outcome = await kubectl.run(["get", "configmaps", "-n", namespace]);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(outcome.stdout).toMatch(/^NAME +DATA +AGE\n/);
    expect(outcome.stdout).toMatch(/^lighthouse +1 +\d+s$/m);
  });

  it("shows an object as JSON", async () => {
    const args = ["get", "configmap", "lighthouse", "-n", namespace, "-o", "json"];
    const outcome = await kubectl.run(args);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      kind: "ConfigMap",
      data: { colour: "white, with a red stripe" },
    });
  });

  it("passes on the cluster's own sentence about what does not exist, and exits 1", async () => {
    const outcome = await kubectl.run(["get", "configmap", "fog", "-n", namespace]);
    expect(outcome).toMatchObject({ code: 1, stdout: "" });
    expect(outcome.stderr).toBe('Error from server (NotFound): configmaps "fog" not found\n');
  });

  it("answers get --raw with the body as it is", async () => {
    const path = `/api/v1/namespaces/${namespace}/configmaps/lighthouse`;
    const outcome = await kubectl.run(["get", "--raw", path]);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(outcome.stdout)).toEqual(await admin.get(path));
  });

  it("tells the versions of both ends", async () => {
    const outcome = await kubectl.run(["version", "-o", "json"]);
    expect(outcome).toMatchObject({ code: 0 });
    const { gitVersion } = await admin.get("/version");
    expect(JSON.parse(outcome.stdout).serverVersion).toMatchObject({ gitVersion });
  });

  itSince(28, kubectl)("knows alice by her own name, not by the name of what carries her requests", async () => {
    const outcome = await kubectl.run(["auth", "whoami", "-o", "json"]);
    expect(outcome).toMatchObject({ code: 0 });
    const { userInfo } = JSON.parse(outcome.stdout).status;
    expect(userInfo.username).toBe(alice.email);
    expect(userInfo.groups).toEqual(expect.arrayContaining(alice.groups));
  });

  it("counts as alice's, and as kubectl's, in the cluster's audit log", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await kubectl.run(["get", "configmaps", "-n", namespace]);
    const list = await audit.waitFor(
      ({ requestURI }) => requestURI.startsWith(`/api/v1/namespaces/${namespace}/configmaps?`),
      "the list",
    );
    expect(actingUser(list)).toBe(alice.email);
    expect(list.userAgent).toMatch(/^kubectl/);
  });

  // Today's apiserver speaks aggregated discovery v2 only, and older kubectls get nothing that could be revalidated.
  itSince(30, kubectl)("finds its discovery unchanged the second time (ETag, 304)", async () => {
    const home = mkdtempSync(join(cluster.testbed.dir, "home-"));
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const first = await kubectl.run(["api-resources"], { home });
    const second = await kubectl.run(["api-resources"], { home });
    expect(second).toEqual(first);
    for (const path of ["/api?", "/apis?"]) {
      const answeredWith = (code: number) => (event: AuditEvent) =>
        event.requestURI.startsWith(path) && event.responseStatus?.code === code;
      await audit.waitFor(answeredWith(200), `the first ${path}`);
      await audit.waitFor(answeredWith(304), `the second ${path}`);
    }
  });
});
