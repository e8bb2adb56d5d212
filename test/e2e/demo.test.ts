import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { eventually } from "../support/eventually.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";

const { cluster } = await setScene();
const main = resolve(import.meta.dirname, "../../demo/dist/main.js");

interface Ready {
  kubeconfig: string;
  relay: string;
  cluster: string;
  pids: Record<string, number>;
  hopMilliseconds: Record<string, number>;
}

describe("the demo on a machine without a cluster", () => {
  it("checks the whole path by itself and exits 0", async () => {
    const demo = startDemo("--check");
    expect(await demo.exited).toMatchObject({ code: 0 });
    expect(demo.stderr).toMatch(/embedded demo cluster/);
    for (const check of ["get", "watch", "logs", "exec"]) expect(demo.stderr).toContain(`✓ ${check}: `);
  });

  it("tells a program in one line when it is ready, and SIGTERM ends every process within 5 s", async () => {
    const file = join(await mkdtemp(join(cluster.testbed.dir, "demo-")), "kubeconfig");
    const demo = startDemo("--output", "json", "--write", file);
    const ready = await untilReady(demo);
    expect(ready.kubeconfig).toBe(file);
    expect(Object.keys(ready.hopMilliseconds)).toEqual([
      "client proxy",
      "relay",
      "agent",
      "identity proxy",
      "apiserver",
    ]);
    expect(Object.keys(ready.pids)).toHaveLength(5);
    const newest = kubectls(cluster).at(-1)?.kubectl.against(file);
    expect(await newest?.run(["get", "pods"])).toMatchObject({ code: 0 });

    const askedAt = Date.now();
    demo.signal("SIGTERM");
    await demo.exited;
    expect(Date.now() - askedAt).toBeLessThan(5_000);
    expect(Object.values(ready.pids).filter(isAlive)).toEqual([]);
    expect(existsSync(file)).toBe(false);
  });

  it("takes its processes along when it is killed", async () => {
    const demo = startDemo("--output", "json");
    const { pids } = await untilReady(demo);
    demo.signal("SIGKILL");
    await eventually(() => !Object.values(pids).some(isAlive), { what: "all processes to end" });
  });
});

describe("the demo on one's own cluster", () => {
  it("leads there with the role view, and removes what it made", async () => {
    const admin = kubectls(cluster).at(-1)?.kubectl.against(cluster.adminKubeconfig);
    const context = (await admin?.run(["config", "current-context"]))?.stdout.trim() ?? "";
    const demo = startDemo("--kubeconfig", cluster.adminKubeconfig, "--context", context, "--output", "json");
    const { kubeconfig, cluster: target } = await untilReady(demo);
    const name = /what is made there is named (fairlead-demo-[a-z0-9]+)$/.exec(target)?.[1] ?? "";
    // By its name: what other tests make on this cluster at the same time has others.
    const made = async (): Promise<string[]> => {
      const outcome = await admin?.run(["get", "clusterrolebindings,clusterroles,namespaces", "-o", "name"]);
      expect(outcome).toMatchObject({ code: 0 });
      return (outcome?.stdout ?? "").split("\n").filter((line) => line.includes(name));
    };
    const person = kubectls(cluster).at(-1)?.kubectl.against(kubeconfig);
    expect(await person?.run(["auth", "can-i", "list", "pods"])).toMatchObject({ code: 0, stdout: "yes\n" });
    expect(await person?.run(["auth", "can-i", "create", "pods"])).toMatchObject({ code: 1, stdout: "no\n" });
    expect(await made()).toHaveLength(4);

    demo.signal("SIGTERM");
    await demo.exited;
    const isUndone = async (): Promise<boolean> => (await made()).length === 0;
    await eventually(isUndone, { what: "all that the demo made to be gone" });
  });
});

function startDemo(...args: string[]): RunningProgram {
  const env = { PATH: "/usr/bin:/bin", HOME: cluster.testbed.dir };
  return new RunningProgram({ file: process.execPath, args: [main, ...args] }, { env });
}

async function untilReady(demo: RunningProgram): Promise<Ready> {
  await demo.waitForOutput(/^\{.*\}$/m);
  return JSON.parse(demo.stdout.split("\n").find((line) => line.startsWith("{")) ?? "");
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}
