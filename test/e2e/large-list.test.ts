import { beforeAll, describe, expect, it } from "@jest/globals";
import { AuditLog } from "../support/audit-log.ts";
import { eventually } from "../support/eventually.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";

const { cluster, admin } = await setScene();

const count = 10_000;
const names = Array.from({ length: count }, (_, index) => `wave-${String(index).padStart(5, "0")}`);

let namespace: string;

beforeAll(async () => {
  namespace = await createNamespace(admin);
  // The client's connections are what limits how many are under way at once.
  await Promise.all(names.map((name) => createConfigMap(admin, namespace, name)));
});

describe.each(kubectls(cluster))("a list of 10,000 objects with $name", ({ kubectl }) => {
  it("comes whole in chunks of 500", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const args = ["get", "configmaps", "-n", namespace, "--chunk-size=500", "-o", "name"];
    const outcome = await kubectl.run(args);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    // The controller manager adds one of its own to every namespace.
    const listed = outcome.stdout.split("\n").filter((line) => line.startsWith("configmap/wave-"));
    expect(listed).toEqual(names.map((name) => `configmap/${name}`));

    const isChunk = ({ requestURI }: { requestURI: string }): boolean =>
      requestURI.startsWith(`/api/v1/namespaces/${namespace}/configmaps?`);
    const isComplete = async (): Promise<boolean> => (await audit.read()).filter(isChunk).length >= count / 500;
    await eventually(isComplete, { what: "twenty chunks in the audit log" });
  });

  it("comes whole at once", async () => {
    const args = ["get", "configmaps", "-n", namespace, "--chunk-size=0", "--no-headers"];
    const outcome = await kubectl.run(args);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    const listed = outcome.stdout.match(/^wave-\d+/gm);
    expect(listed).toEqual(names);
  });
});
