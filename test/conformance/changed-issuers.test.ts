import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { parse, stringify } from "yaml";
import { eventually } from "../support/eventually.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin } = await setScene();
const REFUSED = "the office is closed";
let own: TunnelToTestbed;
let file: string;
let before: string;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  file = own.tunnel.file("identity-proxy-authentication.yaml");
  before = await readFile(file, "utf8");
});
afterAll(() => own.stop());

const ask = () => rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces");
const untilAnswers = (status: number) =>
  eventually(async () => (await ask()).status === status, { what: `status ${status}`, timeoutMs: 30_000 });

describe("the cluster's authentication configuration, changed while it counts", () => {
  it("counts without a restart, for the next request, and no watch is cut", async () => {
    const namespace = await createNamespace(admin);
    const kubectl = kubectls(cluster).at(-1)?.kubectl.against(own.tunnel.kubeconfig);
    const watch = kubectl?.start(["get", "configmaps", "-n", namespace, "-w", "-o", "name"]);
    await watch?.waitForOutput(/kube-root-ca/);

    const changed = parse(before);
    changed.jwt[0].claimValidationRules = [{ expression: 'claims.email == "nobody"', message: REFUSED }];
    await writeFile(file, stringify(changed));
    await untilAnswers(401);
    expect(JSON.parse((await ask()).body).message).toContain(REFUSED);
    await createConfigMap(admin, namespace, "buoy");
    await watch?.waitForOutput(/configmap\/buoy/);

    await writeFile(file, before);
    await untilAnswers(200);
    await watch?.stop();
  });

  it("goes on to count when what comes cannot be used, and the log says so", async () => {
    const log = own.tunnel.file("identity-proxy.log");
    await writeFile(file, before.replace("username", "usernames"));
    await eventually(
      async () => /cannot be used; the one before it goes on to count/.test(await readFile(log, "utf8")),
      {
        what: "a line in the log",
        timeoutMs: 30_000,
      },
    );
    expect(await readFile(log, "utf8")).toMatch(/claimMappings\.usernames: not supported/);
    expect((await ask()).status).toBe(200);
  });
});
