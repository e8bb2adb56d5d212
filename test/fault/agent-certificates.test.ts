import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Tunnel } from "@fairlead/demo";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { eventually } from "../support/eventually.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { LOAD_LIMITS, Load } from "../support/load.ts";
import { setScene } from "../support/scene.ts";
import { countsOf, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
/** How long a certificate lasts here, in seconds: the shortest that a relay gives. */
const CERTIFICATE_SECONDS = 5;
const RENEWALS = 20;
/** How many requests are under way at any time. */
const AT_ONCE = 4;

let own: TunnelToTestbed;
beforeAll(async () => {
  const relayConfig = { agents: { certificateSeconds: CERTIFICATE_SECONDS }, limits: LOAD_LIMITS };
  own = await startTunnel(cluster.testbed, { relayConfig });
});
afterAll(() => own.stop());

const stateFile = (tunnel: Tunnel) => join(tunnel.file("agent"), "agent.json");
const certificateOf = async (tunnel: Tunnel): Promise<string> =>
  JSON.parse(await readFile(stateFile(tunnel), "utf8")).certificate;
const newest = streamingKubectls(cluster).at(-1);

describeWithNode("an agent that renews its certificate twenty times", () => {
  it("loses no request, and an exec that was open before echoes after each renewal", async () => {
    if (!newest) throw new Error("this machine has no kubectl");
    const kubectl = newest.kubectl.against(own.tunnel.kubeconfig);
    const exec = kubectl.start(["exec", "-i", "p1", "--", "cat"]);
    const echo = async (line: string): Promise<void> => {
      exec.write(`${line}\n`);
      await exec.waitForOutput(new RegExp(`^${line}$`, "m"));
    };
    await echo("begun");
    const load = new Load(own.tunnel.kubeconfig, "/api/v1/namespaces?limit=1", AT_ONCE);
    const seen = new Set([await certificateOf(own.tunnel)]);
    for (let renewal = 1; renewal <= RENEWALS; renewal++) {
      const isNew = async () => seen.size < seen.add(await certificateOf(own.tunnel)).size;
      await eventually(isNew, { what: `renewal ${renewal}` });
      await echo(`after renewal ${renewal}`);
    }
    const answers = await load.stop();
    expect(Object.keys(answers)).toEqual(["200"]);
    expect(answers["200"]).toBeGreaterThan(1_000);
    exec.endInput();
    expect(await exec.exited).toMatchObject({ code: 0 });
    expect((await countsOf(own.tunnel))["relay agents"]).toBe(1);
  }, 240_000);
});
