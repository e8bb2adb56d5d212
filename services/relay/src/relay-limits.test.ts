import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import type { AgentIdentity } from "@fairlead/agent-identity";
import { ErrorCode, FairleadError, GrpcConnection, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture, type ServedLane } from "./agent-fixture.ts";
import { ClientFixture, headFor } from "./client-fixture.ts";
import type { Limits } from "./limits/limits.ts";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

let tls: RelayTls;
let relay: RelayFixture | undefined;
let connections: GrpcConnection[];

beforeAll(async () => {
  tls = await issueRelayTls();
});

beforeEach(() => {
  connections = [];
});

afterEach(async () => {
  for (const connection of connections) connection.close();
  await relay?.close();
  relay = undefined;
});

function running(): RelayFixture {
  if (relay === undefined) throw new Error("the relay does not run");
  return relay;
}

function connect(port = Number(running().url.port)): GrpcConnection {
  const connection = new GrpcConnection(() => ({ host: "127.0.0.1", port, tls: { ca: tls.ca } }));
  connections.push(connection);
  return connection;
}

/** A relay with these limits and the cluster prod, which jane and joe may reach. @returns what its agent attaches with */
async function startWith(limits: Partial<Limits>): Promise<AgentIdentity> {
  relay = await RelayFixture.start(tls, limits);
  return relay.makeCluster("prod", ["jane", "joe"]);
}

async function attach(identity: AgentIdentity, count: number): Promise<{ agent: AgentFixture; lanes: ServedLane[] }> {
  const attached = await AgentFixture.attach(connect(), identity, count);
  await until(() => running().counts.agent_lanes === count);
  return attached;
}

async function openClient(): Promise<ClientFixture> {
  const client = new ClientFixture(connect());
  await client.opened;
  return client;
}

const headOf = (user: string, cluster = "prod") => headFor(cluster, running().token(user));

/** A client whose exchange the agent's lane has. */
async function underWay(user: string, lane: ServedLane | undefined): Promise<ClientFixture> {
  const client = await openClient();
  client.request(headOf(user));
  await lane?.requests.take();
  return client;
}

const admitted = () => running().counts.admitted_exchanges;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

const cancelled = (hop: Hop) => new FairleadError(ErrorCode.CANCELLED, hop, "Ctrl-C");

describe("an exchange over a limit", () => {
  it("is refused before an agent hears of it, says when to come back, and leaves its lane free", async () => {
    const { lanes } = await attach(await startWith({ exchangesPerUser: 1 }), 2);
    const first = await underWay("jane", lanes.at(-1));
    const second = await openClient();
    for (let i = 0; i < 3; i++) {
      second.request(headOf("jane"));
      const fault = await second.fault();
      expect(fault).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, hop: Hop.RELAY, retryAfterSeconds: 1 });
      expect(fault.message).toMatch(/limits\.exchangesPerUser/);
    }
    expect(lanes[0]?.requests.size).toBe(0);
    expect(running().counts).toMatchObject({ admitted_exchanges: 1, exchanges: 1, client_lanes: 2 });
    lanes.at(-1)?.answer("done");
    await first.responses.take();
    const answered = second.exchange(headOf("jane")); // on the lane of the refusals
    await lanes.at(-1)?.serve("now it works");
    expect(await answered).toBe("now it works");
    expect(running().counts).toMatchObject({ admitted_exchanges: 0, client_lanes: 2 });
  });

  it("is another user's affair: theirs pass", async () => {
    const { lanes } = await attach(await startWith({ exchangesPerUser: 1 }), 2);
    await underWay("jane", lanes[1]);
    const [janes, joes] = [await openClient(), await openClient()];
    janes.request(headOf("jane"));
    await janes.fault();
    const answered = joes.exchange(headOf("joe"));
    await lanes[0]?.serve("for joe");
    expect(await answered).toBe("for joe");
  });

  it("may come by any connection, and any token of the user", async () => {
    const { lanes } = await attach(await startWith({ exchangesPerUser: 1 }), 2);
    await underWay("jane", lanes[1]);
    const client = await openClient();
    client.request(headFor("prod", running().token("jane", "another-group")));
    expect(await client.fault()).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED });
  });

  it.each<[limit: keyof Limits, limits: Partial<Limits>]>([
    ["exchangesPerCluster", { exchangesPerCluster: 1 }],
    ["exchangesPerRelay", { exchangesPerRelay: 1 }],
  ])("of %s is refused, whose ever it is", async (limit, limits) => {
    const { lanes } = await attach(await startWith(limits), 2);
    await underWay("jane", lanes[1]);
    const client = await openClient();
    client.request(headOf("joe"));
    const fault = await client.fault();
    expect(fault).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, hop: Hop.RELAY, retryAfterSeconds: 1 });
    expect(fault.message).toContain(`limits.${limit}`);
    expect(running().refusedBy(limit)).toBe(1);
  });

  it("of a user's rate hears when the bucket has a token, and is let through then", async () => {
    const { lanes } = await attach(
      await startWith({ newExchangesPerUserPerSecond: 1, newExchangesPerUserBurst: 2 }),
      1,
    );
    const client = await openClient();
    for (let i = 0; i < 2; i++) {
      const answered = client.exchange(headOf("jane"));
      await lanes[0]?.serve("ok");
      await answered;
    }
    client.request(headOf("jane"));
    const fault = await client.fault();
    expect(fault).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, hop: Hop.RELAY, retryAfterSeconds: 1 });
    expect(fault.message).toMatch(/limits\.newExchangesPerUserPerSecond/);
    await new Promise((resolve) => setTimeout(resolve, fault.retryAfterSeconds * 1_000));
    const answered = client.exchange(headOf("jane"));
    await lanes[0]?.serve("come back");
    expect(await answered).toBe("come back");
  });

  it("is met by nobody who is not let in: neither without a token nor without a rule", async () => {
    const token = await startWith({
      newExchangesPerUserPerSecond: 1,
      newExchangesPerUserBurst: 1,
      exchangesPerUser: 1,
    });
    const { lanes } = await attach(token, 2);
    await underWay("jane", lanes[1]);
    const client = await openClient();
    for (let i = 0; i < 20; i++) {
      client.request(headFor("prod", undefined));
      expect(await client.fault()).toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
      client.request(headFor("prod", running().token("jill")));
      expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
      client.request(headFor("prod", `${running().token("joe")}x`));
      expect(await client.fault()).toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
      client.request(headOf("jane", "nowhere")); // at her limit, and still she hears the same as everybody
      expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
    }
    const answered = client.exchange(headOf("joe")); // what was forged in joe's name took nothing of his
    await lanes[0]?.serve("for joe");
    expect(await answered).toBe("for joe");
  });

  it("whose body still comes is refused as well, and its lane ended: nobody would read the rest", async () => {
    const { lanes } = await attach(await startWith({ exchangesPerUser: 1 }), 2);
    await underWay("jane", lanes[1]);
    const client = await openClient();
    client.begin(headOf("jane"));
    client.data(0, "part of a body");
    expect(await client.fault()).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, retryAfterSeconds: 1 });
    await client.closes.take();
    expect(lanes[0]?.requests.size).toBe(0);
    expect(admitted()).toBe(1);
  });
});

describe("an exchange gives its place back", () => {
  /** Jane has the one place; whoever asks then is refused. */
  async function atTheLimit(lanesOpen = 1) {
    const token = await startWith({ exchangesPerUser: 1, exchangesPerCluster: 1, exchangesPerRelay: 1 });
    const { agent, lanes } = await attach(token, lanesOpen);
    const lane = lanes.at(-1);
    if (lane === undefined) throw new Error("no lane");
    const client = await underWay("jane", lane);
    expect(admitted()).toBe(1);
    return { token, agent, lane, client };
  }

  it("when it is answered", async () => {
    const { lane, client } = await atTheLimit();
    lane.answer("done");
    await client.responses.take();
    expect(admitted()).toBe(0);
  });

  it("when its agent answers with a fault", async () => {
    const { lane, client } = await atTheLimit();
    const fault = new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, "down");
    lane.lane.sendResponse({ case: "error", value: fault.toMessage() });
    expect(await client.fault()).toMatchObject({ code: ErrorCode.UNREACHABLE });
    expect(admitted()).toBe(0);
  });

  it("when its client cuts it", async () => {
    const { client } = await atTheLimit();
    client.lane.reset(cancelled(Hop.CLIENT_PROXY));
    await until(() => admitted() === 0);
  });

  it("when its client's connection is gone", async () => {
    const { lanes } = await attach(await startWith({ exchangesPerUser: 1 }), 1);
    const sockets: Socket[] = [];
    const way = createServer((socket) => {
      const onwards = createConnection(Number(running().url.port), "127.0.0.1");
      sockets.push(
        socket.on("error", () => {}),
        onwards.on("error", () => {}),
      );
      socket.pipe(onwards).pipe(socket);
    });
    await new Promise<void>((resolve) => way.listen(0, "127.0.0.1", resolve));
    const client = new ClientFixture(connect((way.address() as AddressInfo).port));
    await client.opened;
    client.request(headOf("jane"));
    await lanes[0]?.requests.take();
    expect(admitted()).toBe(1);
    way.close();
    for (const socket of sockets) socket.destroy();
    await until(() => admitted() === 0);
  });

  it("when its agent's lane is cut", async () => {
    const { lane, client } = await atTheLimit();
    lane.lane.reset(cancelled(Hop.AGENT));
    await client.fault();
    expect(admitted()).toBe(0);
  });

  it("when its agent goes", async () => {
    const { agent, client } = await atTheLimit();
    agent.control.reset(cancelled(Hop.AGENT));
    await client.fault();
    await until(() => admitted() === 0);
  });

  it("when the rule that let it in is removed", async () => {
    const { client } = await atTheLimit();
    await running().as("root").accessRules.deleteAccessRule({ name: "prod" });
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
    await until(() => admitted() === 0);
  });

  it("when its cluster is removed", async () => {
    const { client } = await atTheLimit();
    await running().as("root").clusters.deleteCluster({ name: "prod" });
    await client.fault();
    await until(() => admitted() === 0);
  });

  it("only when its request has ended too: what a client still sends holds the lane", async () => {
    const { lanes } = await attach(await startWith({ exchangesPerUser: 1 }), 1);
    const client = await openClient();
    client.begin(headOf("jane"));
    await lanes[0]?.requests.take();
    lanes[0]?.answer("early");
    await client.responses.take();
    expect(admitted()).toBe(1);
    client.end(0);
    await until(() => admitted() === 0);
  });

  it.each<[what: string, leave: (client: ClientFixture) => void]>([
    ["its client goes", (client) => client.lane.reset(cancelled(Hop.CLIENT_PROXY))],
    ["the wait is over", () => {}],
    ["the relay stops", () => void running().stop(1_000)],
  ])("when it has only waited for an agent, which counts from the start, and %s", async (_what, leave) => {
    await startWith({ exchangesPerUser: 1 });
    const [client, other] = [await openClient(), await openClient()];
    client.request(headOf("jane"));
    await until(() => running().counts.waiting_exchanges === 1);
    expect(admitted()).toBe(1);
    expect(running().counts).toMatchObject({ exchanges: 0, waiting_exchanges: 1, admitted_exchanges: 1 });
    other.request(headOf("jane"));
    expect(await other.fault()).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED });
    const countsNow = running().countsSource();
    leave(client);
    await until(() => countsNow().admitted_exchanges === 0);
  });

  it("when its client went while the token was judged: its lane is the next one's", async () => {
    const token = await startWith({ exchangesPerUser: 1, exchangesPerCluster: 1 });
    await running().stop(0);
    await running().startAgain(); // it has fetched no keys yet
    const { issuer } = running();
    const { promise, resolve } = Promise.withResolvers<void>();
    issuer.answersAfter = promise;
    const { lanes } = await attach(token, 1);
    const [client, other] = [await openClient(), await openClient()];
    const askedBefore = issuer.asked;
    client.request(headOf("jane"));
    await until(() => issuer.asked > askedBefore);
    client.lane.reset(cancelled(Hop.CLIENT_PROXY));
    await until(() => running().counts.client_lanes === 1);
    resolve();
    const answered = other.exchange(headOf("jane"));
    await lanes[0]?.serve("for the other");
    expect(await answered).toBe("for the other");
    expect(admitted()).toBe(0);
  });

  it("when its rule went while it waited, and a lane came", async () => {
    const token = await startWith({ exchangesPerUser: 1 });
    const client = await openClient();
    client.request(headOf("jane"));
    await until(() => running().counts.waiting_exchanges === 1);
    await running().as("root").accessRules.deleteAccessRule({ name: "prod" });
    await attach(token, 1);
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
    expect(admitted()).toBe(0);
  });

  it("a hundred times at once, in whatever way each ends", async () => {
    const { lanes } = await attach(await startWith({}), 100);
    const clients = await Promise.all(lanes.map(() => openClient()));
    const { issuer } = running();
    const token = issuer.token({ sub: "jane" });
    for (const client of clients) client.request(headFor("prod", token));
    await Promise.all(lanes.map((lane) => lane.requests.take()));
    expect(running().counts).toMatchObject({ admitted_exchanges: 100, exchanges: 100 });
    lanes.forEach((lane, i) => {
      if (i % 4 === 0) lane.answer("done");
      if (i % 4 === 1) lane.lane.reset(cancelled(Hop.AGENT));
      if (i % 4 === 2) clients[i]?.lane.reset(cancelled(Hop.CLIENT_PROXY));
      if (i % 4 === 3) lane.lane.end();
    });
    await running().as("root").accessRules.deleteAccessRule({ name: "prod" });
    await until(() => admitted() === 0);
    expect(running().counts).toMatchObject({ admitted_exchanges: 0, exchanges: 0, waiting_exchanges: 0 });
  });
});

it("a cold kubectl's 300 requests at once all pass with the defaults, while 100 watches are open", async () => {
  const { lanes } = await attach(await startWith({}), 400);
  const connection = connect();
  const clients = lanes.map(() => new ClientFixture(connection));
  await Promise.all(clients.map((client) => client.opened));
  const head = headOf("jane");
  for (const client of clients) client.request(head);
  await Promise.all(lanes.map((lane) => lane.requests.take()));
  expect(running().counts).toMatchObject({ exchanges: 400 });
  for (const lane of lanes) lane.answer("ok");
  const answers = await Promise.all(clients.map((client) => client.responses.take()));
  expect(answers.filter((frame) => frame.case === "whole" && frame.value.head?.status === 200)).toHaveLength(400);
  expect(admitted()).toBe(0);
});

it("a limit that is met is in the log once, with the user and without a token", async () => {
  const { lanes } = await attach(await startWith({ exchangesPerUser: 1, exchangesPerCluster: 2 }), 2);
  await underWay("jane", lanes[1]);
  const client = await openClient();
  const token = running().token("jane");
  for (let i = 0; i < 10; i++) {
    client.request(headFor("prod", token));
    await client.fault();
  }
  await underWay("joe", lanes[0]);
  await running()
    .as("root")
    .accessRules.createAccessRule({
      accessRule: { name: "jills", users: ["jill"], clusters: ["prod"] },
    });
  client.request(headOf("jill"));
  await client.fault();
  const lines = running().logged.filter((line) => line.includes("limit"));
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { level: "info", text: expect.any(String), fields: { user: "jane", cluster: "prod", limit: "exchangesPerUser" } },
    {
      level: "warn",
      text: expect.any(String),
      fields: { user: "jill", cluster: "prod", limit: "exchangesPerCluster" },
    },
  ]);
  for (const part of token.split(".")) expect(running().logged.join()).not.toContain(part);
  expect(running().refusedBy("exchangesPerUser")).toBe(10);
});
