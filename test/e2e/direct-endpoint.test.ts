import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { AuditLog } from "../support/audit-log.ts";
import { directKubeconfig } from "../support/direct.ts";
import { kubectls, streamingKubectls } from "../support/kubectls-under-test.ts";
import { fetchOnce, LocalService } from "../support/local-service.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();

let own: TunnelToTestbed;
let kubeconfig: string;
beforeAll(async () => {
  own = await startTunnel(cluster.testbed, { args: (name) => (name === "relay" ? ["--grace", "20"] : []) });
  kubeconfig = await directKubeconfig(own.tunnel);
  await own.tunnel.processes["client proxy"].end(); // nothing of the user's machine is in the way
}, 60_000);
afterAll(() => own.stop());

describe.each(kubectls(cluster))("without a client proxy, $name", ({ kubectl: any }) => {
  const run = (...args: string[]) => any.against(kubeconfig).run(args);

  it("reads, by discovery through the prefix, as alice", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "tide", { state: "low" });
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const got = await run("get", "configmap", "tide", "-n", namespace, "-o", "jsonpath={.data.state}");
    expect(got).toMatchObject({ code: 0, stdout: "low" });
    const path = `/api/v1/namespaces/${namespace}/configmaps/tide`;
    const event = await audit.waitFor(({ requestURI }) => requestURI === path, "the get");
    expect(event.impersonatedUser?.username).toBe(alice.email);
    expect(await run("api-resources", "--api-group=apps", "-o", "name")).toMatchObject({
      code: 0,
      stdout: /deployments/,
    });
  });

  it("writes: create, apply on the server's side, and delete", async () => {
    const namespace = await createNamespace(admin);
    const manifest = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "b", namespace }, data: { a: "1" } };
    const at = any.against(kubeconfig);
    expect(await run("create", "configmap", "a", "-n", namespace, "--from-literal=x=y")).toMatchObject({ code: 0 });
    const applied = await at.run(["apply", "--server-side", "-f", "-"], { stdin: JSON.stringify(manifest) });
    expect(applied).toMatchObject({ code: 0, stdout: "configmap/b serverside-applied\n" });
    const twice = await at.run(["apply", "-f", "-"], { stdin: JSON.stringify({ ...manifest, data: { a: "2" } }) });
    expect(twice).toMatchObject({ code: 0 });
    expect(await run("delete", "configmap", "a", "b", "-n", namespace)).toMatchObject({ code: 0 });
  });

  it("watches, and Ctrl-C ends the watch at the apiserver", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "before");
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const watch = any.against(kubeconfig).start(["get", "configmaps", "-n", namespace, "-w", "--no-headers"]);
    await watch.waitForOutput(/^before +0 /m);
    await createConfigMap(admin, namespace, "after");
    await watch.waitForOutput(/^after +0 /m);
    watch.signal("SIGINT");
    await watch.exited;
    const isEnd = ({ verb, stage, requestURI }: { verb: string; stage: string; requestURI: string }) =>
      verb === "watch" && stage === "ResponseComplete" && requestURI.includes(`/namespaces/${namespace}/`);
    await audit.waitFor(isEnd, "the watch's end", 3_000);
  });

  it("lists 40 MB whole, as it is and in pages", async () => {
    const namespace = await createNamespace(admin);
    const names = Array.from({ length: 400 }, (_, i) => `wave-${i}`);
    const data = { of: "x".repeat(100_000) };
    await Promise.all(names.map((name) => createConfigMap(admin, namespace, name, data)));
    for (const size of [0, 50]) {
      const listed = await run("get", "configmaps", "-n", namespace, `--chunk-size=${size}`, "-o", "name");
      expect(listed.stdout.match(/wave-\d+/g)).toHaveLength(names.length);
    }
  });

  it("passes on what the cluster refuses, as the cluster says it", async () => {
    const outcome = await run("get", "configmap", "missing", "-n", "default");
    expect(outcome).toMatchObject({
      code: 1,
      stderr: 'Error from server (NotFound): configmaps "missing" not found\n',
    });
    const impersonating = await run("get", "namespaces", "--as", "root");
    expect(impersonating).toMatchObject({ code: 1, stderr: /fairlead: identity proxy: .*impersonat/i });
  });
});

describeWithNode("pods, without a client proxy", () => {
  describe.each(streamingKubectls(cluster))("$name", ({ kubectl: any }) => {
    const at = () => any.against(kubeconfig);

    it("runs commands, with their input, output and exit code", async () => {
      const outcome = await at().run(["exec", "p1", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
      expect(outcome).toMatchObject({ code: 7, stdout: "out\n" });
      expect(outcome.stderr).toBe("err\ncommand terminated with exit code 7\n");
      const stdin = Buffer.alloc(5_000_000, "fairlead\n");
      const summed = await at().run(["exec", "-i", "p1", "--", "sha256sum"], { stdin });
      expect(summed.stdout).toBe(`${createHash("sha256").update(stdin).digest("hex")}  -\n`);
    });

    it("shows a log as it grows, and ends on Ctrl-C", async () => {
      const logs = at().start(["logs", "-f", "p1", "--tail=1"]);
      await logs.waitForOutput(/^line 9\nline 10\nline 11\n/);
      logs.signal("SIGINT");
      await logs.exited;
    });

    it("forwards a port to a pod", async () => {
      const service = await LocalService.start();
      const forward = at().start(["port-forward", "p1", `:${service.port}`]);
      const [, local] = await forward.waitForOutput(/Forwarding from 127\.0\.0\.1:(\d+) ->/);
      const body = Buffer.alloc(1_000_000, "ballast");
      const answer = await fetchOnce(Number(local), "/quay", body);
      expect(answer.toString()).toBe(`/quay ${createHash("sha256").update(body).digest("hex")}`);
      await forward.stop();
      await service.stop();
    });

    it("copies files both ways", async () => {
      const [from, to] = ["from", "to"].map((name) => own.tunnel.file(`${name}-${process.hrtime.bigint()}`));
      await writeFile(from ?? "", Buffer.alloc(2_000_000, "cargo"));
      const remote = `p1:/tmp/direct-${process.hrtime.bigint()}`;
      expect(await at().run(["cp", from ?? "", remote])).toMatchObject({ code: 0 });
      expect(await at().run(["cp", remote, to ?? ""])).toMatchObject({ code: 0 });
      expect((await readFile(to ?? "")).equals(await readFile(from ?? ""))).toBe(true);
    });
  });
});

describe("a request that is under way, without a client proxy, when the relay is told to stop", () => {
  it("is answered to its end, and the next one by the next relay", async () => {
    const newest = kubectls(cluster).at(-1)?.kubectl.against(kubeconfig);
    if (!newest) throw new Error("there is no kubectl");
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "before");
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const path = `/api/v1/namespaces/${namespace}/configmaps?watch=1&timeoutSeconds=5`;
    const get = newest.start(["get", "--raw", path]);
    const isOpen = ({ verb, stage, requestURI }: { verb: string; stage: string; requestURI: string }) =>
      verb === "watch" && stage === "ResponseStarted" && requestURI.includes(`/namespaces/${namespace}/`);
    await audit.waitFor(isOpen, "an open watch");
    const { relay } = own.tunnel.processes;
    if (relay.pid) process.kill(relay.pid, "SIGTERM");
    expect({ ...(await get.exited), stderr: get.stderr }).toMatchObject({ code: 0, stderr: "" });
    expect(get.stdout).toMatch(/"ADDED".*"before"/);
    await relay.end();
    await own.tunnel.startProcess("relay");
    expect(await newest.run(["get", "namespace", namespace])).toMatchObject({ code: 0 });
  });
});
