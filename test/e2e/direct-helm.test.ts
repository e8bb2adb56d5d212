import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { directKubeconfig } from "../support/direct.ts";
import { Helm } from "../support/helm.ts";
import { createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin } = await setScene();
/** A hook is a second object, which Helm creates, awaits and deletes by itself. */
const TEMPLATE = `
apiVersion: v1
kind: ConfigMap
metadata: { name: {{ .Release.Name }} }
data: { level: "{{ .Values.level }}", major: "{{ .Capabilities.KubeVersion.Major }}" }
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-before
  annotations: { "helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": hook-succeeded }
`;

interface ConfigMap {
  metadata: { name: string };
  data?: Record<string, string>;
}
const isOfTide = ({ metadata }: ConfigMap) => metadata.name.startsWith("tide");

let own: TunnelToTestbed;
let helm: Helm;
let kubeconfig: string;
let chart: string;
beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  kubeconfig = await directKubeconfig(own.tunnel);
  await own.tunnel.processes["client proxy"].end(); // nothing of the user's machine is in the way
  helm = await Helm.find(cluster.testbed.dir);
  chart = own.tunnel.file("tide-chart");
  await mkdir(join(chart, "templates"), { recursive: true });
  await writeFile(join(chart, "Chart.yaml"), "{ apiVersion: v2, name: tide, version: 1.0.0 }");
  await writeFile(join(chart, "templates", "config-map.yaml"), TEMPLATE);
}, 120_000);
afterAll(() => own.stop());

describe("Helm, with a kubeconfig alone", () => {
  it("installs, upgrades, rolls back and uninstalls a chart", async () => {
    const namespace = await createNamespace(admin);
    const run = (...args: string[]) => helm.run([...args, "--namespace", namespace], kubeconfig);
    const found = async () => {
      const { items } = Object(await admin.get(`/api/v1/namespaces/${namespace}/configmaps`));
      return items.filter(isOfTide).map(({ data }: ConfigMap) => data);
    };

    await run("install", "tide", chart, "--set", "level=low", "--wait");
    expect(await found()).toEqual([{ level: "low", major: "1" }]);
    await run("upgrade", "tide", chart, "--set", "level=high", "--wait");
    expect(await found()).toEqual([{ level: "high", major: "1" }]);
    await run("rollback", "tide", "1");
    expect(await found()).toEqual([{ level: "low", major: "1" }]);
    const releases: { revision: string; status: string }[] = JSON.parse(await run("list", "--output", "json"));
    expect(releases).toMatchObject([{ revision: "3", status: "deployed" }]);
    await run("uninstall", "tide", "--wait");
    expect(await found()).toEqual([]);
  });

  it("says what the relay says of a cluster that there is not", async () => {
    const elsewhere = own.tunnel.file("elsewhere.kubeconfig");
    const written = await readFile(kubeconfig, "utf8");
    await writeFile(elsewhere, written.replace(`/clusters/${own.tunnel.cluster}`, "/clusters/nowhere"));
    await expect(helm.run(["list"], elsewhere)).rejects.toThrow(/fairlead: relay: there is no cluster nowhere/);
  });
});
