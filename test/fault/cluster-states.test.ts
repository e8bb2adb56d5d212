import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { kubectls } from "../support/kubectls-under-test.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";
import { watchedClusters } from "../support/watched-clusters.ts";

const { cluster } = await setScene();
let own: TunnelToTestbed;
let watch: RunningProgram;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  watch = watchedClusters(own.tunnel, alice);
  await watch.waitForOutput(/testbed {2}Connected\n/);
});
afterAll(async () => {
  await watch.stop();
  await own.stop();
});

/** Waits for a line of the watch that was not there before. */
async function next(line: RegExp, make: () => Promise<unknown>): Promise<void> {
  const seen = watch.stdout.length;
  await make();
  await watch.waitForOutput(new RegExp(`^[^]{${seen},}${line.source}`));
}

describe("`fairlead clusters --watch`", () => {
  it("shows Connected once the apiserver was asked, with what the cluster is", async () => {
    const [shown] = JSON.parse(await own.tunnel.cli(alice, "clusters", "--output", "json"));
    expect(shown).toMatchObject({ name: "testbed", state: "Connected", reason: "", agentReplicas: 1, capped: false });
    expect(shown.kubernetesVersion).toMatch(/^v1\.\d+/);
  });

  it("shows Degraded while the identity proxy is down, and why", async () => {
    const proxy = own.tunnel.processes["identity proxy"];
    await next(/Degraded: the agent cannot reach the identity proxy/, () => proxy.end("SIGKILL"));
    await next(/Connected\n/, () => own.tunnel.startProcess("identity proxy"));
  });

  it("shows Offline while the agent is away, and how it went", async () => {
    const { agent } = own.tunnel.processes;
    await next(/Offline: no agent is attached: the agent is stopping/, () => agent.end("SIGTERM"));
    await next(/Connected\n/, () => own.tunnel.startProcess("agent"));
    await next(/Offline: no agent is attached: .*lost/, () => agent.end("SIGKILL"));
    await next(/Connected\n/, () => own.tunnel.startProcess("agent"));
  });

  it("and requests get through when it says so", async () => {
    const kubectl = kubectls(cluster).at(-1)?.kubectl.against(own.tunnel.kubeconfig);
    expect(await kubectl?.run(["get", "--raw", "/readyz"])).toMatchObject({ code: 0, stdout: "ok" });
  });
});
