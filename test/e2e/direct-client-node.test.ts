import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { CoreV1Api, Exec, KubeConfig, Watch } from "@kubernetes/client-node";
import { directKubeconfig } from "../support/direct.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();

let own: TunnelToTestbed;
let config: KubeConfig;
beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  config = new KubeConfig();
  config.loadFromFile(await directKubeconfig(own.tunnel));
}, 60_000);
afterAll(() => own.stop());

describe("a program in JavaScript, with a kubeconfig alone", () => {
  it("reads and writes", async () => {
    const namespace = await createNamespace(admin);
    const api = config.makeApiClient(CoreV1Api);
    const body = { metadata: { name: "tide" }, data: { state: "high" } };
    await api.createNamespacedConfigMap({ namespace, body });
    expect((await api.readNamespacedConfigMap({ namespace, name: "tide" })).data).toEqual(body.data);
  });

  it("watches", async () => {
    const namespace = await createNamespace(admin);
    const seen: string[] = [];
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const came = Promise.withResolvers<void>();
    const watch = await new Watch(config).watch(
      path,
      {},
      (type, { metadata }) => {
        seen.push(`${type} ${metadata.name}`);
        if (metadata.name === "after") came.resolve();
      },
      () => came.resolve(),
    );
    await createConfigMap(admin, namespace, "after");
    await came.promise;
    watch.abort();
    expect(seen).toContain("ADDED after");
  });
});

describeWithNode("a command in a pod, from JavaScript", () => {
  it("has its output and its result", async () => {
    const stdout = new PassThrough();
    const output = text(stdout);
    const status = await new Promise((resolve, reject) => {
      const command = ["sh", "-c", "echo out; exit 3"];
      new Exec(config).exec("default", "p1", "", command, stdout, null, null, false, resolve).catch(reject);
    });
    stdout.end();
    expect(await output).toBe("out\n");
    expect(status).toMatchObject({ status: "Failure", reason: "NonZeroExitCode" });
  });
});
