import { createHmac, randomBytes } from "node:crypto";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { kubectls } from "../support/kubectls-under-test.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";
import { watchedClusters } from "../support/watched-clusters.ts";
import { type Told, WebhookReceiver } from "../support/webhook-receiver.ts";

const { cluster } = await setScene();
let own: TunnelToTestbed;
let watch: RunningProgram;
let receiver: WebhookReceiver;
const secret = randomBytes(32);

beforeAll(async () => {
  receiver = await WebhookReceiver.start();
  const secretFile = join(await mkdtemp(join(cluster.testbed.dir, "webhook-")), "secret");
  await writeFile(secretFile, `whsec_${secret.toString("base64")}\n`, { mode: 0o600 });
  own = await startTunnel(cluster.testbed, { relayConfig: { webhook: { url: receiver.url, secretFile } } });
  watch = watchedClusters(own.tunnel, alice);
  await watch.waitForOutput(/testbed {2}Connected\n/);
});
afterAll(async () => {
  await watch.stop();
  await own.stop();
  receiver.stop();
});

/** Waits for a line of the watch that was not there before. */
async function next(line: RegExp, make: () => Promise<unknown>): Promise<void> {
  const seen = watch.stdout.length;
  await make();
  await watch.waitForOutput(new RegExp(`^[^]{${seen},}${line.source}`));
}

/** Whether somebody with the secret sent it (standardwebhooks.com). */
function isSigned({ headers, body }: Told): boolean {
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  return headers["webhook-signature"] === `v1,${createHmac("sha256", secret).update(signed).digest("base64")}`;
}

describe("a webhook", () => {
  it("is told, signed, that a cluster is offline, again until it takes it, and that the cluster is back", async () => {
    await receiver.next(/"state":"Connected"/);
    receiver.answers.push(503);
    await own.tunnel.processes.agent.end("SIGKILL");
    const [refused, taken] = [await receiver.next(/"state":"Offline"/), await receiver.next(/"state":"Offline"/)];
    expect(taken.body).toBe(refused.body);
    expect(taken.headers["webhook-id"]).toBe(refused.headers["webhook-id"]);
    await own.tunnel.startProcess("agent");
    const back = await receiver.next(/"state":"Connected"/);
    expect([refused, taken, back].map(isSigned)).toEqual([true, true, true]);
    const data = { cluster: "testbed", state: "Offline", before: "Connected", reason: expect.stringMatching(/lost/) };
    expect(JSON.parse(taken.body)).toMatchObject({ type: "cluster.state", data });
    expect(JSON.parse(back.body)).toMatchObject({ data: { cluster: "testbed", before: "Offline" } });
  });
});

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
