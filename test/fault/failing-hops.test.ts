import type { ProcessName } from "@fairlead/demo";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { eventually } from "../support/eventually.ts";
import { streamingProtocols } from "../support/kubectl-versions.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { setScene } from "../support/scene.ts";
import { startTestbed, type Testbed } from "../support/testbed.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
let testbed: Testbed; // of its own, since its apiserver is stopped
let own: TunnelToTestbed;

beforeAll(async () => {
  testbed = await startTestbed();
  own = await startTunnel(testbed);
});
afterAll(async () => {
  await own.stop();
  await testbed.stop();
});

const HOPS: [ProcessName, RegExp][] = [
  ["relay", /fairlead: relay: the relay https:\/\/\S+ cannot be reached.*check the address/],
  ["agent", /fairlead: agent: the agent of the cluster testbed is not connected.*check that it runs/],
  ["identity proxy", /fairlead: identity proxy: the agent cannot reach the identity proxy.*check that it runs/],
];

describe.each(kubectls(cluster))("$name", ({ kubectl }) => {
  const through = () => kubectl.against(own.tunnel.kubeconfig);

  it.each(HOPS)("says within 5 s that the %s is down, with a cold cache and a warm one", async (hop, sentence) => {
    const home = testbed.dir;
    await eventually(async () => (await through().run(["get", "pods"], { home })).code === 0, { what: "the tunnel" });
    await own.tunnel.processes[hop].end("SIGKILL");
    try {
      const startedAt = Date.now();
      const warm = await through().run(["get", "pods"], { home });
      expect(Date.now() - startedAt).toBeLessThan(5_000);
      expect(warm.code).toBe(1);
      expect(warm.stderr).toMatch(sentence);
      const cold = await through().run(["get", "pods"]);
      expect(cold.code).toBe(1);
      expect(cold.stderr).toMatch(sentence);
    } finally {
      await own.tunnel.startProcess(hop);
    }
  });

  it.each(streamingProtocols(kubectl.binary))(
    "says so for an exec over %s, whose refusal is read for 1,024 bytes",
    async (protocol) => {
      const home = testbed.dir;
      await eventually(async () => (await through().run(["get", "pods"], { home })).code === 0, { what: "the tunnel" });
      await own.tunnel.processes.agent.end("SIGKILL");
      try {
        const environment = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(protocol === "WebSocket") };
        const exec = await through().run(["exec", "p1", "--", "true"], { home, env: environment });
        expect(exec.code).toBe(1);
        expect(exec.stderr).toMatch(
          /fairlead: agent: the agent of the cluster testbed is not connected.*check that it runs/,
        );
      } finally {
        await own.tunnel.startProcess("agent");
      }
    },
  );

  it("says that the apiserver is down", async () => {
    await eventually(async () => (await through().run(["get", "pods"])).code === 0, { what: "the tunnel" });
    await testbed.stopApiserver();
    try {
      const outcome = await through().run(["get", "--raw", "/version"]);
      expect(outcome.code).toBe(1);
      expect(outcome.stderr).toMatch(/fairlead: apiserver: the identity proxy cannot reach the apiserver/);
    } finally {
      await testbed.startApiserver();
    }
  });

  it("gets a target of 120,000 bytes through, far over node's default of 16 KiB", async () => {
    const outcome = await through().run(["get", "--raw", `/version?${"x".repeat(120_000)}`]);
    expect(outcome.code).toBe(0);
  });
});

describe("a relay whose rule for the caller is removed", () => {
  it("answers as if the cluster were unknown", async () => {
    const administrator = { email: "administrator@fairlead.dev", groups: [] };
    await own.tunnel.cli(administrator, "rules", "delete", "everybody");
    const newest = kubectls(cluster).at(-1)?.kubectl.against(own.tunnel.kubeconfig);
    const outcome = await newest?.run(["get", "pods"]);
    expect(outcome?.code).toBe(1);
    expect(outcome?.stderr).toMatch(/fairlead: relay: there is no cluster testbed, or you have no access to it/);
  });
});
