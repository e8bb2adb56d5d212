import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Tunnel } from "@fairlead/demo";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { countsOf, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
/** How long a certificate lasts here, in seconds: the shortest that a relay gives. */
const CERTIFICATE_SECONDS = 5;
const RENEWALS = 20;

let own: TunnelToTestbed;
beforeAll(async () => {
  own = await startTunnel(cluster.testbed, { relayConfig: { agents: { certificateSeconds: CERTIFICATE_SECONDS } } });
});
afterAll(() => own.stop());

const stateFile = (tunnel: Tunnel) => join(tunnel.file("agent"), "agent.json");
const certificateOf = async (tunnel: Tunnel): Promise<string> =>
  JSON.parse(await readFile(stateFile(tunnel), "utf8")).certificate;
const newest = streamingKubectls(cluster).at(-1);

describeWithNode("an agent that renews its certificate twenty times", () => {
  it("loses no request, and an exec stays open throughout", async () => {
    if (!newest) throw new Error("this machine has no kubectl");
    const kubectl = newest.kubectl.against(own.tunnel.kubeconfig);
    const exec = kubectl.start(["exec", "-i", "p1", "--", "cat"]);
    const seen = new Set<string>();
    const statuses = new Map<number, number>();
    while (seen.size <= RENEWALS) {
      seen.add(await certificateOf(own.tunnel));
      const { status } = await rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces?limit=1");
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    expect([...statuses.keys()]).toEqual([200]);
    expect(statuses.get(200)).toBeGreaterThan(1_000);
    exec.write("still here\n");
    await exec.waitForOutput(/still here/);
    exec.endInput();
    expect(await exec.exited).toMatchObject({ code: 0 });
    expect((await countsOf(own.tunnel))["relay agents"]).toBe(1);
  }, 240_000);
});
