import { beforeAll, describe, expect, it } from "@jest/globals";
import { findGoExamples } from "../support/go-examples.ts";
import { Home } from "../support/home.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";

const { cluster, admin } = await setScene();
const examples = await findGoExamples();
const describeWithGo = examples ? describe : describe.skip;

let home: Home;
let kubeconfig: string;
beforeAll(async () => {
  home = await Home.make(cluster.testbed.dir);
  kubeconfig = home.file("direct.conf");
  const { relayUrl, relayCa, tokenFile, cluster: name } = cluster.client;
  const relay = ["--relay", relayUrl, "--relay-ca", relayCa, "--token-file", tokenFile];
  await home.run(["kubeconfig", name, "--direct", "--file", kubeconfig, ...relay]);
});

const start = (...args: string[]) =>
  new RunningProgram({ file: examples?.client ?? "", args: ["--kubeconfig", kubeconfig, ...args] }, { env: home.env });

async function run(...args: string[]) {
  const program = start(...args);
  const { code } = await program.exited;
  return { code, stdout: program.stdout, stderr: program.stderr };
}

describeWithGo("a program on client-go, with a kubeconfig alone", () => {
  it("lists the namespaces", async () => {
    const outcome = await run("get");
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(outcome.stdout).toMatch(/^namespace default$/m);
  });

  it("follows a watch", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "before");
    const watch = start("--namespace", namespace, "watch");
    await watch.waitForOutput(/^ADDED configmap before$/m);
    await createConfigMap(admin, namespace, "after");
    await watch.waitForOutput(/^ADDED configmap after$/m);
    watch.signal("SIGINT");
    expect(await watch.exited).toMatchObject({ code: 0 });
  });
});

(cluster.testbed.hasNode ? describeWithGo : describe.skip)("a command in a pod, from client-go", () => {
  it.each([
    ["WebSocket", []],
    ["SPDY", ["--spdy"]],
  ])("has its output and its exit code over %s", async (_, flags) => {
    const outcome = await run(...flags, "exec", "p1", "sh", "-c", "echo out; echo err >&2; exit 3");
    expect(outcome).toEqual({ code: 3, stdout: "out\n", stderr: "err\n" });
  });
});
