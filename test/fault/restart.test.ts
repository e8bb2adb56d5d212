import type { ProcessName } from "@fairlead/demo";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { eventually } from "../support/eventually.ts";
import type { Kubectl } from "../support/kubectl.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { setScene } from "../support/scene.ts";
import { countsOf, restingCounts, startTunnel, type TunnelToTestbed, untilCountsAre } from "../support/tunnel.ts";

const { cluster } = await setScene();
const newest = kubectls(cluster).at(-1)?.kubectl;
let own: TunnelToTestbed;
let kubectl: Kubectl;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  if (!newest) throw new Error("this machine has no kubectl");
  kubectl = newest.against(own.tunnel.kubeconfig);
});
afterAll(() => own.stop());

describe.each<ProcessName>(["relay", "agent", "identity proxy"])("when the %s is killed and started again", (name) => {
  it("the next request works within 5 s, and no process and no lane is left over", async () => {
    const home = cluster.testbed.dir;
    await kubectl.run(["get", "namespaces"], { home });
    const before = await restingCounts(own.tunnel);
    await own.tunnel.processes[name].end("SIGKILL");
    const restarted = own.tunnel.startProcess(name);
    const askedAt = Date.now();
    const outcome = await kubectl.run(["get", "namespaces", "--output=name"], { home });
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(Date.now() - askedAt).toBeLessThan(10_000); // 5 s are promised, to a machine that has nothing else to do
    await restarted;
    await untilCountsAre(own.tunnel, before);
    for (const process of Object.values(own.tunnel.processes)) expect(process.pid).toBeDefined();
  });
});

describe("when the relay is stopped in good order", () => {
  it("an exchange under way ends by itself first, and the agent attaches to the next relay", async () => {
    const follow = kubectl.start(["get", "namespaces", "--watch", "--request-timeout=2s", "--output=name"]);
    await follow.waitForOutput(/namespace\/default/);
    const ended = own.tunnel.processes.relay.end("SIGTERM");
    await ended;
    await own.tunnel.startProcess("relay");
    await follow.exited;
    await eventually(async () => (await countsOf(own.tunnel))["relay agents"] === 1, { what: "the agent" });
    expect(await kubectl.run(["get", "--raw", "/readyz"])).toMatchObject({ code: 0, stdout: "ok" });
  });
});
