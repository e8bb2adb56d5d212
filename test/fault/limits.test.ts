import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { TunnelOptions } from "@fairlead/demo";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/free-port.ts";
import type { Kubectl } from "../support/kubectl.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { rawRequest } from "../support/raw-request.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { countsOf, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
const bob = { email: "bob@example.com", groups: [] };
let own: TunnelToTestbed;

/** A tunnel of the tests that stand beside the call. */
function withTunnel(options: Partial<TunnelOptions>): void {
  beforeAll(async () => {
    own = await startTunnel(cluster.testbed, options);
  });
  afterAll(() => own.stop());
}

const admitted = async () => (await countsOf(own.tunnel))["relay admitted_exchanges"];
const untilAllHaveEnded = () => eventually(async () => (await admitted()) === 0, { what: "all places to be free" });

/** How often a limit has refused so far. */
async function refusedBy(limit: string): Promise<number> {
  const metrics = await (await fetch(`${own.tunnel.privateUrls.relay}/metrics`)).text();
  return Number(new RegExp(`^fairlead_refused_exchanges_total\\{limit="${limit}"\\} (\\d+)$`, "m").exec(metrics)?.[1]);
}

describe("a user at the limit of exchanges at once", () => {
  const most = 3;
  const home = cluster.testbed.dir;
  const sentence = /fairlead: relay: you have 3 requests under way, the most that this relay allows one user at once/;
  let bobs: string;

  withTunnel({ others: [bob], relayConfig: { limits: { exchangesPerUser: most } } });
  beforeAll(async () => {
    const [port = 0] = await freePorts(1);
    bobs = await own.tunnel.letIn(bob, port);
  });

  let watches: RunningProgram[] = [];

  /** Takes every place that there is for a watch. */
  async function watchEverywhere(kubectl: Kubectl): Promise<void> {
    await kubectl.run(["get", "namespaces"], { home }); // with a cache, each is one request
    watches = Array.from({ length: most }, () => kubectl.start(["get", "namespaces", "--watch"], { home }));
    await Promise.all(watches.map((watch) => watch.waitForOutput(/default/))); // their lists have ended, too
    await eventually(async () => (await admitted()) === most, { what: "each to watch" });
  }

  async function endWatches(): Promise<void> {
    for (const watch of watches.splice(0)) {
      watch.signal("SIGINT");
      await watch.exited;
    }
    await untilAllHaveEnded();
  }
  afterEach(endWatches);

  describe.each(kubectls(cluster))("$name", ({ kubectl: any }) => {
    const kubectl = () => any.against(own.tunnel.kubeconfig);

    it("hears from the relay which limit it is, with a warm cache and a cold one; others pass meanwhile", async () => {
      await watchEverywhere(kubectl());
      const warm = kubectl().start(["get", "namespaces"], { home });
      const cold = kubectl().start(["get", "namespaces", "--output=name"]);
      const another = await any.against(bobs).run(["get", "--raw", "/readyz"]);
      expect(another).toMatchObject({ code: 0, stderr: "", stdout: "ok" });
      expect(await warm.exited).toMatchObject({ code: 1 }); // after ten attempts, a second between them
      expect(warm.stderr).toMatch(/^Error from server \(TooManyRequests\): /);
      expect(warm.stderr).toMatch(sentence);
      expect(warm.stderr).toMatch(/\(limits\.exchangesPerUser\); end watches and execs that you do not need/);
      expect(await refusedBy("exchangesPerUser")).toBeGreaterThanOrEqual(10);
      await cold.waitForOutput(sentence); // this one asks anew, and so comes through when a watch ends
      await endWatches();
      expect(await cold.exited).toMatchObject({ code: 0 });
      expect(cold.stdout).toMatch(/^namespace\/default$/m);
    });
  });

  it("gets 429, Retry-After and a Kubernetes Status that is ours: nothing of the cluster's own flow control", async () => {
    const [newest] = kubectls(cluster).slice(-1);
    if (newest === undefined) throw new Error("this machine has no kubectl");
    await watchEverywhere(newest.kubectl.against(own.tunnel.kubeconfig));
    const upgrade = ["Connection", "Upgrade", "Upgrade", "SPDY/3.1", "X-Stream-Protocol-Version", "v4.channel.k8s.io"];
    for (const [path, headers, method] of [
      ["/api/v1/namespaces", [], "GET"],
      ["/api/v1/namespaces/default/configmaps", ["Content-Length", "0"], "POST"],
      ["/api/v1/namespaces/default/pods/p1/exec?command=true&stdout=1", upgrade, "POST"],
    ] as const) {
      const answer = await rawRequest(own.tunnel.kubeconfig, path, headers, method);
      expect(answer.status).toBe(429);
      expect(answer.headers).toMatchObject({ "retry-after": "1", "fairlead-error": 'LIMIT_EXCEEDED; hop="relay"' });
      expect(Object.keys(answer.headers).filter((name) => /x-kubernetes|audit-id/.test(name))).toEqual([]);
      expect(Buffer.byteLength(answer.body)).toBeLessThan(1_024);
      const status = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "TooManyRequests", code: 429 };
      expect(JSON.parse(answer.body)).toMatchObject({ ...status, details: { retryAfterSeconds: 1 } });
      expect(JSON.parse(answer.body).message).toMatch(sentence);
    }
  });
});

describe("a user over the rate", () => {
  withTunnel({ relayConfig: { limits: { newExchangesPerUserPerSecond: 4, newExchangesPerUserBurst: 4 } } });

  it.each(kubectls(cluster))("$name comes through at the rate, sixteen at once", async ({ kubectl }) => {
    const through = kubectl.against(own.tunnel.kubeconfig);
    const home = await mkdtemp(join(cluster.testbed.dir, "home-"));
    const get = () => through.run(["get", "namespaces", "--output=name"], { home });
    await get(); // with a cache, each is one request
    const before = await refusedBy("newExchangesPerUserPerSecond");
    const startedAt = Date.now();
    for (const outcome of await Promise.all(Array.from({ length: 16 }, get))) {
      expect(outcome).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^namespace\/default$/m) });
    }
    expect(Date.now() - startedAt).toBeGreaterThan(2_900); // four a second after the first four
    expect(await refusedBy("newExchangesPerUserPerSecond")).toBeGreaterThan(before);
    await untilAllHaveEnded();
  });
});

describe("with the default limits", () => {
  withTunnel({});

  it("300 requests at once, as a cold kubectl may send, are all answered by the cluster, and none is left over", async () => {
    const paths = ["/apis/apps/v1", "/apis/batch/v1", "/api/v1"];
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, i) => rawRequest(own.tunnel.kubeconfig, paths[i % paths.length] ?? "")),
    );
    const others = answers.filter(({ status }) => status !== 200).map(({ status, body }) => `${status} ${body}`);
    expect(new Set(others)).toEqual(new Set());
    expect(answers).toHaveLength(300);
    await untilAllHaveEnded();
  });
});
