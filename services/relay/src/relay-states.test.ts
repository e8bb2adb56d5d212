import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Cluster,
  ClusterState,
  ErrorCode,
  FairleadError,
  Hop,
  type WatchClustersResponse,
} from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture } from "./agent-fixture.ts";
import { issueRelayTls, RelayFixture, type RelayTls, type Rpc } from "./relay-fixture.ts";

const { CONNECTING, CONNECTED, DEGRADED, OFFLINE, EXPIRED } = ClusterState;
let tls: RelayTls;
let relay: RelayFixture;
let watches: AbortController[];

beforeAll(async () => {
  tls = await issueRelayTls();
});

beforeEach(async () => {
  watches = [];
  relay = await RelayFixture.start(tls);
});

afterEach(async () => {
  for (const watch of watches) watch.abort();
  await relay.close();
});

/** A watch of the clusters; each call gives what comes next. */
function watch(rpc: Rpc): () => Promise<WatchClustersResponse> {
  const abort = new AbortController();
  watches.push(abort);
  const answers = rpc.clusters.watchClusters({}, { signal: abort.signal })[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await answers.next();
    if (done) throw new Error("the watch ended");
    return value;
  };
}

/** The next answer in which the cluster has this state. */
async function until(next: () => Promise<WatchClustersResponse>, state: ClusterState): Promise<Cluster> {
  for (;;) {
    const { cluster } = await next();
    if (cluster?.state === state) return cluster;
  }
}

const problem = new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, "the apiserver is away").toMessage();

describe("a cluster", () => {
  it("is Connecting until an agent has joined, Offline until one attaches, Connecting until it has looked, then Connected", async () => {
    const root = relay.as("root");
    const { cluster, joinToken } = await root.clusters.createCluster({ name: "prod" });
    expect(cluster).toMatchObject({ state: CONNECTING, stateReason: "no agent has joined yet" });
    const next = watch(root);
    await next();
    const identity = await relay.join(joinToken?.token ?? "");
    expect((await next()).cluster).toMatchObject({
      state: OFFLINE,
      stateReason: expect.stringMatching(/none has attached since/),
    });
    const agent = await AgentFixture.open(relay.connect(), identity);
    agent.register();
    expect((await next()).cluster).toMatchObject({ state: CONNECTING, agentReplicas: 1 });
    const report = { kubernetesVersion: "v1.30.2-eks-1de2ab1", nodeCount: 7, capped: true };
    agent.control.send({ frame: { case: "condition", value: { report } } });
    const { cluster: connected } = await next();
    expect(connected).toMatchObject({ state: CONNECTED, stateReason: "", ...report, distribution: "EKS" });
    expect(Math.abs(Number(connected?.stateTime && timestampMs(connected.stateTime)) - Date.now())).toBeLessThan(5_000);
    expect(connected?.certificateExpireTime).toBeDefined();
  });

  it("is Degraded for as long as its agent says that requests would fail, and says why", async () => {
    const { agent } = await AgentFixture.attach(relay.connect(), await relay.makeCluster("prod"));
    const next = watch(relay.as("jane"));
    agent.control.send({ frame: { case: "condition", value: { problem } } });
    expect(await until(next, DEGRADED)).toMatchObject({ stateReason: "the apiserver is away" });
    agent.control.send({ frame: { case: "condition", value: {} } });
    expect(await until(next, CONNECTED)).toMatchObject({ stateReason: "" });
  });

  it("is Connected while one of its agent's replicas can serve", async () => {
    const identity = await relay.makeCluster("prod");
    const { agent } = await AgentFixture.attach(relay.connect(), identity);
    const other = await AgentFixture.attach(relay.connect(), identity);
    const next = watch(relay.as("jane"));
    expect((await next()).cluster).toMatchObject({ agentReplicas: 2 });
    agent.control.send({ frame: { case: "condition", value: { problem } } });
    other.agent.control.send({ frame: { case: "condition", value: { problem } } });
    await until(next, DEGRADED);
    other.agent.control.send({ frame: { case: "condition", value: {} } });
    await until(next, CONNECTED);
    other.agent.control.reset(new FairleadError(ErrorCode.CANCELLED, Hop.AGENT, "leaving"));
    await until(next, DEGRADED);
  });

  it("is Offline when its agent is gone or stops, and says how it went", async () => {
    const identity = await relay.makeCluster("prod");
    const { agent } = await AgentFixture.attach(relay.connect(), identity);
    const next = watch(relay.as("jane"));
    agent.control.send({ frame: { case: "drain", value: {} } });
    expect(await until(next, OFFLINE)).toMatchObject({ stateReason: "no agent is attached: the agent is stopping" });
    const again = await AgentFixture.attach(relay.connect(), identity);
    await until(next, CONNECTED);
    again.agent.control.reset(new FairleadError(ErrorCode.CANCELLED, Hop.AGENT, "leaving"));
    expect((await until(next, OFFLINE)).stateReason).toMatch(/^no agent is attached: .+/);
  });

  it("is Expired from the instant at which its agent's certificate has ended, and says what to do", async () => {
    relay.certificateSeconds = 5;
    await relay.stop(0);
    await relay.startAgain();
    const identity = await relay.makeCluster("prod");
    await AgentFixture.attach(relay.connect(), identity);
    const expired = await until(watch(relay.as("jane")), EXPIRED);
    expect(expired.stateReason).toMatch(/`fairlead clusters join-token prod`/);
    expect(expired.stateTime && timestampMs(expired.stateTime)).toBe(identity.expiresAtMs);
  }, 20_000);

  it("is Offline after the relay was started anew, since it was seen last", async () => {
    const before = Date.now();
    await AgentFixture.attach(relay.connect(), await relay.makeCluster("prod"));
    await relay.stop(0);
    await relay.startAgain();
    const [cluster] = (await relay.as("jane").clusters.listClusters({})).clusters;
    expect(cluster).toMatchObject({
      state: OFFLINE,
      stateReason: expect.stringMatching(/since the relay was started/),
    });
    expect(cluster?.stateTime && timestampMs(cluster.stateTime)).toBeGreaterThanOrEqual(before - 1);
  });
});

describe("a watch of clusters", () => {
  it("shows what its caller may reach, as that changes, and nothing else", async () => {
    const root = relay.as("root");
    await relay.makeCluster("others", []);
    await relay.makeCluster("prod");
    const next = watch(relay.as("jane"));
    expect(await next()).toMatchObject({ cluster: { name: "prod" }, removed: false });
    await relay.makeCluster("hidden", []);
    await root.clusters.deleteCluster({ name: "others" });
    await relay.makeCluster("more");
    const identity = await root.clusters.createJoinToken({ cluster: "more" });
    await relay.join(identity.joinToken?.token ?? "");
    await root.clusters.deleteCluster({ name: "prod" });
    const seen = [await next()];
    while (!seen.at(-1)?.removed) seen.push(await next());
    expect(new Set(seen.map(({ cluster }) => cluster?.name))).toEqual(new Set(["more", "prod"]));
    expect(seen.at(-1)).toMatchObject({ cluster: { name: "prod", labels: {} }, removed: true });
  });

  it("ends when its caller's token does", async () => {
    await relay.makeCluster("prod");
    const exp = Math.floor(Date.now() / 1_000) + 2;
    const next = watch(relay.rpc(relay.issuer.token({ sub: "jane", exp })));
    await next();
    await expect(next()).rejects.toThrow(/expired/);
  });

  it("is refused without a token", async () => {
    await expect(watch(relay.rpc(undefined))()).rejects.toThrow();
  });
});
