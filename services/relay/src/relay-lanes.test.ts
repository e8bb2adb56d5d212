import { toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { AgentIdentity } from "@fairlead/agent-identity";
import {
  ClusterState,
  ErrorCode,
  type ErrorMessage,
  ErrorSchema,
  FairleadError,
  Hop,
  TunnelService,
} from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture, type ServedLane } from "./agent-fixture.ts";
import { ClientFixture, headFor } from "./client-fixture.ts";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

let tls: RelayTls;
let relay: RelayFixture;

beforeAll(async () => {
  tls = await issueRelayTls();
});

beforeEach(async () => {
  relay = await RelayFixture.start(tls);
});

afterEach(() => relay.close());

/** A cluster that Jane may reach, whose agent offers a lane. */
async function clusterWithAgent(
  name = "prod",
): Promise<{ agent: AgentFixture; lane: ServedLane; identity: AgentIdentity }> {
  const identity = await relay.makeCluster(name);
  const { agent, lanes } = await AgentFixture.attach(relay.connect(), identity);
  const [lane] = lanes;
  if (lane === undefined) throw new Error("no lane");
  return { agent, lane, identity };
}

async function openClient(): Promise<ClientFixture> {
  const client = new ClientFixture(relay.connect());
  await client.opened;
  return client;
}

const jane = () => relay.token("jane");

/** Asks until the relay says so: what it notes when a connection ends, it notes a moment later. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe("an agent", () => {
  it("attaches by its proof and is told its cluster, its session and what is wanted of it", async () => {
    const agent = await AgentFixture.open(relay.connect(), await relay.makeCluster("prod"));
    agent.register();
    const registered = await agent.registered;
    expect(registered).toMatchObject({ cluster: "prod", heartbeatIntervalMs: 10_000, idleLanes: 2 });
    expect(registered.sessionId).toHaveLength(32);
    const { clusters } = await relay.as("jane").clusters.listClusters({});
    expect(clusters).toMatchObject([{ name: "prod", state: ClusterState.CONNECTING, agentVersion: "0.0.1-test" }]);
    expect(relay.counts).toMatchObject({ agents: 1, agent_lanes: 0 });
  });

  it.each<[what: string, proof: (good: string) => string | undefined]>([
    ["no proof", () => undefined],
    ["a proof with a character less", (good) => good.slice(0, -1)],
    ["an administrator's token", () => relay.token("root")],
  ])("with %s is refused, and told why", async (_what, proof) => {
    const identity = await relay.makeCluster("prod");
    const agent = new AgentFixture(relay.connect(), proof(await identity.prove(TunnelService.method.attach)));
    agent.register();
    await expect(agent.registered).rejects.toMatchObject({ code: ErrorCode.TOKEN_REFUSED, hop: Hop.RELAY });
    expect((await agent.ended.take())?.message).toMatch(/the agent's proof is refused: (there|it|its)/);
    expect(relay.counts).toMatchObject({ agents: 0 });
  });

  it("gets an answer to each heartbeat", async () => {
    const { agent } = await clusterWithAgent();
    for (let i = 0; i < 3; i++) agent.control.send({ frame: { case: "heartbeat", value: {} } });
    for (let i = 0; i < 3; i++) expect((await agent.told.take()).case).toBe("heartbeat");
  });

  it("that leaves is not connected any more, and was seen just now", async () => {
    const { agent } = await clusterWithAgent();
    agent.control.reset(new FairleadError(ErrorCode.CANCELLED, Hop.AGENT, "leaving"));
    await until(() => relay.counts.agents === 0);
    const [cluster] = (await relay.as("jane").clusters.listClusters({})).clusters;
    expect(cluster).toMatchObject({ state: ClusterState.OFFLINE, agentVersion: "" });
    expect(Math.abs(Number(cluster?.lastSeenTime?.seconds) - Date.now() / 1000)).toBeLessThan(10);
  });

  it("is let go when its cluster is removed, and cannot come back", async () => {
    const { agent, lane, identity } = await clusterWithAgent();
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    expect(await agent.ended.take()).toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
    await lane.closes.take();
    await until(() => relay.counts.agents === 0);
    const again = await AgentFixture.open(relay.connect(), identity);
    again.register();
    await expect(again.registered).rejects.toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
  });

  it("that kept quiet while its cluster was removed and made anew does not speak for the new one", async () => {
    const old = await relay.makeCluster("prod");
    const connection = relay.connect();
    const quiet = await AgentFixture.open(connection, old);
    const known = await AgentFixture.open(connection, old); // on the same connection, behind it: when it is in, both were heard
    known.register();
    await known.registered;
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    await relay.as("root").clusters.createCluster({ name: "prod" });
    quiet.register();
    await expect(quiet.registered).rejects.toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
    await until(() => relay.counts.agents === 0);
  });
});

describe("a lane of an agent's", () => {
  it.each<[what: string, session: (own: Uint8Array) => Uint8Array]>([
    ["an unknown session", () => new Uint8Array(32).fill(7)],
    ["no session", () => new Uint8Array()],
    ["a part of the session", (own) => own.subarray(0, 31)],
    ["the session and a byte more", (own) => Buffer.concat([own, Buffer.of(0)])],
  ])("that names %s is refused", async (_what, session) => {
    const { agent } = await clusterWithAgent();
    const { sessionId } = await agent.registered;
    const stray = agent.openLane(session(sessionId));
    expect(await stray.closes.take()).toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
    expect(relay.counts.agent_lanes).toBe(1);
  });

  it("of a session whose agent has left is refused", async () => {
    const { agent } = await clusterWithAgent();
    const { sessionId } = await agent.registered;
    agent.control.reset(new FairleadError(ErrorCode.CANCELLED, Hop.AGENT, "leaving"));
    await until(() => relay.counts.agents === 0);
    expect(await agent.openLane(sessionId).closes.take()).toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
  });

  it("serves only the cluster that its session is for", async () => {
    const { lane } = await clusterWithAgent("a");
    const other = await clusterWithAgent("b");
    const client = await openClient();
    const answered = client.exchange(headFor("b", jane()));
    await other.lane.serve("from b");
    expect(await answered).toBe("from b");
    expect(lane.requests.size).toBe(0);
  });
});

describe("an exchange", () => {
  it("passes to the agent and back, one after the other on the same lanes", async () => {
    const { lane } = await clusterWithAgent();
    const client = await openClient();
    for (const text of ["one", "two", "three"]) {
      const answered = client.exchange(headFor("prod", jane()), `ask ${text}`);
      expect(await lane.serve(`answer ${text}`)).toBe(`ask ${text}`);
      expect(await answered).toBe(`answer ${text}`);
    }
    expect(relay.counts).toMatchObject({ client_lanes: 1, agent_lanes: 1, exchanges: 0, waiting_exchanges: 0 });
  });

  it("reaches the agent with every header as it was, the caller's token too: the cluster judges it again", async () => {
    const { lane } = await clusterWithAgent();
    const client = await openClient();
    const token = jane();
    const bytes = Buffer.from([0xff, 0x00, 0x80]);
    const sent = headFor("prod", token, { target: "/x?y=%2f", method: "PATCH" });
    sent.headers.push({ $typeName: "fairlead.tunnel.v1alpha1.Header", name: "X-Bytes", value: bytes });
    client.request(sent);
    const frame = await lane.requests.take();
    if (frame.case !== "whole") throw new Error("not whole");
    expect(frame.value.head).toEqual(sent);
    lane.answer("");
  });

  it("may send its body before the relay has found a lane: nothing of it is lost or out of order", async () => {
    const { lane } = await clusterWithAgent();
    const client = await openClient();
    client.begin(headFor("prod", jane(), { method: "POST" }));
    for (let i = 0; i < 50; i++) client.data(i * 4, String(i).padStart(4, "0"));
    client.end(200);
    expect((await lane.requests.take()).case).toBe("head");
    for (let i = 0; i < 50; i++) {
      expect(await lane.requests.take()).toMatchObject({ case: "data", value: { offset: BigInt(i * 4) } });
    }
    expect((await lane.requests.take()).case).toBe("end");
    lane.answer("ok");
    expect((await client.responses.take()).case).toBe("whole");
  });

  it("waits for an agent that is just away, and is served when it comes", async () => {
    const identity = await relay.makeCluster("prod");
    const client = await openClient();
    const answered = client.exchange(headFor("prod", jane()));
    await until(() => relay.counts.waiting_exchanges === 1);
    const { lanes } = await AgentFixture.attach(relay.connect(), identity);
    await lanes[0]?.serve("at last");
    expect(await answered).toBe("at last");
  });

  it("asks the agent for a lane when all are in use", async () => {
    const { agent, lane } = await clusterWithAgent();
    const [first, second] = [await openClient(), await openClient()];
    first.request(headFor("prod", jane()));
    await lane.requests.take();
    const answered = second.exchange(headFor("prod", jane()));
    expect(await agent.told.take()).toMatchObject({ case: "laneDemand", value: { lanes: 1 } });
    const { sessionId } = await agent.registered;
    await agent.openLane(sessionId).serve("by the second lane");
    expect(await answered).toBe("by the second lane");
    lane.answer("");
  });

  it("ends after 4 s when there is no agent, or with what the agent says is wrong", async () => {
    await relay.makeCluster("away");
    const identity = await relay.makeCluster("broken");
    const { agent } = await AgentFixture.attach(relay.connect(), identity, 0);
    const sentence = "the agent cannot reach the identity proxy beside it; check that it runs";
    const problem = new FairleadError(ErrorCode.UNREACHABLE, Hop.IDENTITY_PROXY, sentence).toMessage();
    agent.control.send({ frame: { case: "condition", value: { problem } } });
    const [first, second] = [await openClient(), await openClient()];
    first.request(headFor("away", jane()));
    second.request(headFor("broken", jane()));
    expect(await first.fault()).toMatchObject({ code: ErrorCode.AGENT_NOT_CONNECTED, hop: Hop.AGENT });
    const fault = await second.fault();
    expect(fault).toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.IDENTITY_PROXY, message: sentence });
  });

  it("is reset at the agent when its client goes", async () => {
    const { lane } = await clusterWithAgent();
    const client = await openClient();
    client.request(headFor("prod", jane()));
    await lane.requests.take();
    client.lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "Ctrl-C"));
    expect(await lane.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
    await until(
      () => relay.counts.exchanges === 0 && relay.counts.agent_lanes === 0 && relay.counts.client_lanes === 0,
    );
  });

  it("leaves the queue when its client goes", async () => {
    await relay.makeCluster("prod");
    const client = await openClient();
    client.request(headFor("prod", jane()));
    await until(() => relay.counts.waiting_exchanges === 1);
    client.lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "Ctrl-C"));
    await until(() => relay.counts.waiting_exchanges === 0);
  });

  it("ends with an error frame when its agent goes: it cannot be taken for an end", async () => {
    const { agent, lane } = await clusterWithAgent();
    const client = await openClient();
    client.request(headFor("prod", jane()));
    await lane.requests.take();
    agent.control.reset(new FairleadError(ErrorCode.CANCELLED, Hop.AGENT, "killed"));
    const { code } = await client.fault();
    expect([ErrorCode.CONNECTION_LOST, ErrorCode.CANCELLED]).toContain(code);
    await until(() => relay.counts.exchanges === 0 && relay.counts.agent_lanes === 0);
  });
});

describe("an exchange that is refused leaves its lane free, and never reaches an agent", () => {
  const expired = () => relay.issuer.token({ sub: "jane", exp: 1 });
  it.each<[what: string, head: () => ReturnType<typeof headFor>, code: ErrorCode]>([
    ["without token", () => headFor("prod", undefined), ErrorCode.TOKEN_REFUSED],
    ["with an expired token", () => headFor("prod", expired()), ErrorCode.TOKEN_REFUSED],
    [
      "with a token of another audience",
      () => headFor("prod", relay.issuer.token({ aud: "x" })),
      ErrorCode.TOKEN_REFUSED,
    ],
    ["with garbage for a token", () => headFor("prod", "garbage"), ErrorCode.TOKEN_REFUSED],
    ["to a cluster that is not there", () => headFor("nowhere", jane()), ErrorCode.CLUSTER_UNKNOWN],
    ["to no cluster", () => headFor("", jane()), ErrorCode.CLUSTER_UNKNOWN],
    ["to a cluster of others", () => headFor("prod", relay.token("joe")), ErrorCode.CLUSTER_UNKNOWN],
    [
      "to a cluster, by an administrator without rule",
      () => headFor("prod", relay.token("root")),
      ErrorCode.CLUSTER_UNKNOWN,
    ],
    [
      "without exchange id",
      () => headFor("prod", jane(), { exchangeId: new Uint8Array() }),
      ErrorCode.PROTOCOL_VIOLATION,
    ],
  ])("%s", async (_what, head, code) => {
    const { lane } = await clusterWithAgent();
    const client = await openClient();
    client.request(head());
    expect(await client.fault()).toMatchObject({ code });
    expect(lane.requests.size).toBe(0);
    const answered = client.exchange(headFor("prod", jane()));
    await lane.serve("now it works");
    expect(await answered).toBe("now it works");
  });

  it("because the issuer is down: the caller is not told to sign in", async () => {
    await relay.makeCluster("prod");
    await relay.stop(0);
    await relay.startAgain(); // it has fetched no keys yet
    relay.issuer.down = true;
    const client = await openClient();
    client.request(headFor("prod", jane()));
    expect(await client.fault()).toMatchObject({ code: ErrorCode.ISSUER_UNAVAILABLE, hop: Hop.RELAY });
  });

  it("and a cluster of others cannot be told from one that is not there", async () => {
    await relay.makeCluster("prod", []);
    const client = await openClient();
    const answers: string[] = [];
    for (const name of ["prod", "none"]) {
      client.request(headFor(name, jane()));
      const frame = await client.responses.take();
      const error: ErrorMessage = frame.case === "error" ? frame.value : ({} as never);
      answers.push(Buffer.from(toBinary(ErrorSchema, error)).toString().replaceAll(name, "NAME"));
    }
    expect(answers[0]).toBe(answers[1]);
  });

  it("and a body that still comes is not waited for", async () => {
    const client = await openClient();
    client.begin(headFor("nowhere", jane(), { method: "POST" }));
    client.data(0, "part of a body");
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
    await client.closes.take(); // nobody would read the rest
    await until(() => relay.counts.client_lanes === 0);
  });
});

describe("a live exchange is cut with an error frame", () => {
  /** An exchange of Jane's whose answer has begun. */
  async function live(name = "prod") {
    const { agent, lane } = await clusterWithAgent(name);
    const client = await openClient();
    client.request(headFor(name, jane()));
    await lane.requests.take();
    lane.lane.sendResponse({
      case: "head",
      value: {
        $typeName: "fairlead.tunnel.v1alpha1.ResponseHead",
        exchangeId: new Uint8Array(),
        status: 200,
        reason: "",
        headers: [],
        upgrade: "",
        timings: [],
      },
    });
    expect((await client.responses.take()).case).toBe("head");
    expect(relay.counts.exchanges).toBe(1);
    return { agent, lane, client };
  }

  it("when the rule that let it in is removed, and its agent hears of it", async () => {
    const { lane, client } = await live();
    await relay.as("root").accessRules.deleteAccessRule({ name: "prod" });
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN, hop: Hop.RELAY });
    expect(await lane.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
    await until(() => relay.counts.exchanges === 0);
    client.request(headFor("prod", jane()));
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
  });

  it("when its cluster is removed", async () => {
    const { client } = await live();
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
    await until(() => relay.counts.exchanges === 0 && relay.counts.agents === 0);
  });

  it("but not when another rule lets it in as well", async () => {
    const { lane, client } = await live();
    const root = relay.as("root").accessRules;
    await root.createAccessRule({ accessRule: { name: "second", users: ["jane"], clusters: ["*"] } });
    await root.deleteAccessRule({ name: "prod" });
    expect(relay.counts.exchanges).toBe(1);
    lane.lane.sendResponse({
      case: "end",
      value: { $typeName: "fairlead.tunnel.v1alpha1.End", offset: 0n, data: new Uint8Array(), trailers: [] },
    });
    expect((await client.responses.take()).case).toBe("end");
  });

  it("but not when the rule of others is removed", async () => {
    await relay.makeCluster("other");
    await live();
    await relay.as("root").accessRules.deleteAccessRule({ name: "other" });
    await relay.as("root").clusters.deleteCluster({ name: "other" });
    expect(relay.counts.exchanges).toBe(1);
  });

  it("and one that only waited for a lane is refused when it gets one", async () => {
    const identity = await relay.makeCluster("prod");
    const client = await openClient();
    client.request(headFor("prod", jane()));
    await until(() => relay.counts.waiting_exchanges === 1);
    await relay.as("root").accessRules.deleteAccessRule({ name: "prod" });
    const { lanes } = await AgentFixture.attach(relay.connect(), identity);
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
    expect(lanes[0]?.requests.size).toBe(0);
    // The lane that it was given serves the next.
    const joes = { name: "joes", users: ["joe"], clusters: ["prod"] };
    await relay.as("root").accessRules.createAccessRule({ accessRule: joes });
    const answered = client.exchange(headFor("prod", relay.token("joe")));
    await lanes[0]?.serve("for joe");
    expect(await answered).toBe("for joe");
  });
});

describe("when the relay stops", () => {
  it("it tells its agents, lets an exchange end, takes no new one, and has nothing left", async () => {
    const { agent, lane } = await clusterWithAgent();
    const [client, idle] = [await openClient(), await openClient()];
    const answered = client.exchange(headFor("prod", jane()));
    await lane.requests.take();
    const stopped = relay.stop(10_000);
    expect((await agent.told.take()).case).toBe("drain");
    await idle.closes.take();
    lane.answer("in time");
    expect(await answered).toBe("in time");
    await stopped;
    await Promise.all([client.closes.take(), agent.ended.take(), lane.closes.take()]);
  });

  it("it refuses what only waits for an agent, without waiting for the grace", async () => {
    await relay.makeCluster("prod");
    const client = await openClient();
    client.request(headFor("prod", jane()));
    await until(() => relay.counts.waiting_exchanges === 1);
    const stopped = relay.stop(60_000);
    expect(await client.fault()).toMatchObject({ code: ErrorCode.DRAINING, hop: Hop.RELAY });
    await stopped;
  });

  it("it cuts what is left at the end of the grace", async () => {
    const { lane } = await clusterWithAgent();
    const client = await openClient();
    client.request(headFor("prod", jane()));
    await lane.requests.take();
    await relay.stop(100);
    expect(await client.closes.take()).toBeDefined();
  });

  it("it notes when its agents were last seen, and logs no error", async () => {
    await clusterWithAgent();
    const before = Date.now();
    await relay.stop(100);
    await relay.startAgain();
    const [cluster] = (await relay.as("jane").clusters.listClusters({})).clusters;
    expect(cluster?.state).toBe(ClusterState.OFFLINE);
    expect(cluster?.lastSeenTime && timestampMs(cluster.lastSeenTime)).toBeGreaterThanOrEqual(before);
    expect(relay.logged.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });
});

describe("the relay's counts", () => {
  it("are all zero again when agents and clients have gone", async () => {
    const { agent, lane } = await clusterWithAgent();
    const client = await openClient();
    const answered = client.exchange(headFor("prod", jane()));
    await lane.serve("ok");
    await answered;
    await relay.as("jane").clusters.listClusters({});
    expect(relay.counts).toMatchObject({ agents: 1, agent_lanes: 1, client_lanes: 1, exchanges: 0 });
    relay.disconnect();
    client.lane.end();
    lane.lane.end();
    agent.control.end();
    relay.hangUp();
    await until(() => Object.values(relay.counts).every((count) => count === 0));
    expect(Object.keys(relay.counts).sort()).toEqual([
      "admitted_exchanges",
      "agent_lanes",
      "agents",
      "client_lanes",
      "direct_exchanges",
      "exchanges",
      "outdated_authentication_configurations",
      "sessions",
      "waiting_connections",
      "waiting_exchanges",
    ]);
  });
});

it("no token is in the log, neither a caller's nor an agent's", async () => {
  const { lane, identity } = await clusterWithAgent();
  const client = await openClient();
  const callers = jane();
  const answered = client.exchange(headFor("prod", callers));
  await lane.serve("ok");
  await answered;
  client.request(headFor("prod", `${callers}x`));
  await client.fault();
  const proof = await identity.prove(TunnelService.method.attach);
  const refused = new AgentFixture(relay.connect(), `${proof}x`);
  refused.register();
  await refused.ended.take();
  const log = relay.logged.join("\n");
  expect(log).toMatch(/agent attached/);
  expect(log).toMatch(/"user":"jane"/);
  for (const secret of [...proof.split("."), ...callers.split(".")]) expect(log).not.toContain(secret);
});
