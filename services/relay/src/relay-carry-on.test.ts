import { create } from "@bufbuild/protobuf";
import type { AgentIdentity } from "@fairlead/agent-identity";
import {
  type Credential,
  CredentialSchema,
  ErrorCode,
  FairleadError,
  Hop,
  newExchangeId,
  type RequestHead,
  ScopeSchema,
  sendCredential,
} from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture, type ServedLane } from "./agent-fixture.ts";
import { ClientFixture, headFor } from "./client-fixture.ts";
import type { Limits } from "./limits/limits.ts";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

const WATCH = { target: "/api/v1/pods?watch=true" };
const EXEC = { method: "GET", target: "/api/v1/namespaces/ns/pods/p/exec", upgrade: "websocket" };

let tls: RelayTls;
let relay: RelayFixture;
let agent: AgentFixture;
/** The lane that carries the exchange, and the one that is idle beside it. */
let lane: ServedLane;
let idle: ServedLane;
let client: ClientFixture;
let identity: AgentIdentity;

beforeAll(async () => {
  tls = await issueRelayTls();
});

beforeEach(() => startRelay());

afterEach(() => relay.close());

async function startRelay(limits: Partial<Limits> = {}): Promise<void> {
  relay = await RelayFixture.start(tls, limits);
  identity = await relay.makeCluster("prod", []);
  await allow("everybody", { users: ["jane", "joe"] });
  const attached = await AgentFixture.attach(relay.connect(), identity, 1);
  agent = attached.agent;
  [lane] = attached.lanes as [ServedLane];
  client = await openClient();
}

async function openClient(): Promise<ClientFixture> {
  const opened = new ClientFixture(relay.connect());
  await opened.opened;
  return opened;
}

const allow = (name: string, rule: object) =>
  relay.as("root").accessRules.createAccessRule({ accessRule: { name, users: ["jane"], clusters: ["prod"], ...rule } });

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;
const token = (exp: number, claims: Record<string, unknown> = {}) =>
  relay.issuer.token({ sub: "jane", groups: ["dev", "ops"], exp, ...claims });

interface Live {
  exchangeId: Uint8Array;
  atMs: number;
}

/** Begins a request of Jane's whose answer has begun, and offers another lane, which is idle then. */
async function live(seconds: number, changes: Partial<RequestHead> = WATCH): Promise<Live> {
  const exp = inSeconds(seconds);
  const head = headFor("prod", token(exp), changes);
  if (head.upgrade) client.begin(head);
  else client.request(head);
  await lane.requests.take();
  const $typeName = "fairlead.tunnel.v1alpha1.ResponseHead" as const;
  const text = { reason: "", headers: [], timings: [], upgrade: head.upgrade };
  const status = head.upgrade ? 101 : 200;
  lane.lane.sendResponse({ case: "head", value: { $typeName, exchangeId: head.exchangeId, status, ...text } });
  expect((await client.responses.take()).case).toBe("head");
  idle = await offerLane();
  return { exchangeId: head.exchangeId, atMs: exp * 1_000 };
}

async function offerLane(): Promise<ServedLane> {
  const before = relay.counts.agent_lanes ?? 0;
  const offered = agent.openLane((await agent.registered).sessionId);
  while (relay.counts.agent_lanes !== before + 1) await new Promise((resolve) => setImmediate(resolve));
  return offered;
}

/** Sends a credential over a lane of another connection. */
async function send(init: Partial<Credential>): Promise<void> {
  const { lane } = await openClient();
  await sendCredential(lane, create(CredentialSchema, { cluster: "prod", ...init } as object), Hop.RELAY);
}

/** Takes the credential that came to the cluster, and answers it. */
async function cluster(answer: "accepts" | FairleadError, on = idle): Promise<Credential> {
  const frame = await on.requests.take();
  if (frame.case !== "credential") throw new Error(`a ${frame.case} came`);
  if (answer === "accepts") on.answer("", 204);
  else on.lane.sendResponse({ case: "error", value: answer.toMessage() });
  return frame.value;
}

async function passes(atMs: number): Promise<void> {
  while (Date.now() < atMs) await new Promise((resolve) => setTimeout(resolve, 50));
}

const UNKNOWN = { code: ErrorCode.ACCESS_DENIED, hop: Hop.RELAY };
const EXPIRED = { code: ErrorCode.TOKEN_REFUSED, message: expect.stringMatching(/your token expired/) };

describe("a live exchange with a newer token of the same caller", () => {
  it.each([
    ["a watch", WATCH],
    ["an exec", EXEC],
  ])("goes on when the cluster takes it: %s", async (_what, changes) => {
    const { exchangeId, atMs } = await live(2, changes);
    const newer = token(inSeconds(60));
    const sent = send({ exchangeId, token: newer, proof: "a proof" });
    expect(await cluster("accepts")).toMatchObject({ cluster: "prod", token: newer, proof: "a proof" });
    await sent;
    await passes(atMs + 2_000);
    expect([client.lane.inExchange, client.lane.closed, client.responses.size]).toEqual([true, false, 0]);
    expect(relay.counts).toMatchObject({ exchanges: 1, admitted_exchanges: 1 });
  });

  it("ends with the newer token", async () => {
    const { exchangeId } = await live(2);
    const exp = inSeconds(4);
    const sent = send({ exchangeId, token: token(exp) });
    await cluster("accepts");
    await sent;
    expect(await client.fault()).toMatchObject(EXPIRED);
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1_000);
  });

  it("goes on once more, over the same lane of the agent's", async () => {
    const { exchangeId } = await live(60);
    for (const seconds of [120, 180, 240]) {
      const sent = send({ exchangeId, token: token(inSeconds(seconds)) });
      await cluster("accepts");
      await sent;
    }
    expect(relay.counts.agent_lanes).toBe(2);
  });

  it("ends with its own token when the cluster refuses the newer one", async () => {
    const { exchangeId } = await live(2);
    const sent = send({ exchangeId, token: token(inSeconds(60)) });
    await cluster(new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, "no such exchange"));
    await expect(sent).rejects.toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY });
    expect(await client.fault()).toMatchObject(EXPIRED);
  });

  it("is still judged by the rules: it ends when the last one is removed", async () => {
    const { exchangeId } = await live(60);
    const sent = send({ exchangeId, token: token(inSeconds(120)) });
    await cluster("accepts");
    await sent;
    await relay.as("root").accessRules.deleteAccessRule({ name: "everybody" });
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
  });

  it("leaves no token in the log", async () => {
    const { exchangeId } = await live(60);
    const newer = token(inSeconds(120));
    const sent = send({ exchangeId, token: newer });
    await cluster("accepts");
    await sent;
    await expect(send({ exchangeId, token: `${newer}x` })).rejects.toBeInstanceOf(FairleadError);
    for (const part of newer.split(".")) expect(relay.logged.join("\n")).not.toContain(part);
  });
});

describe("a live exchange", () => {
  it.each<[what: string, claims: Record<string, unknown>]>([
    ["another user, who may reach the cluster", { sub: "joe" }],
    ["another user, who may not", { sub: "jim" }],
    ["a group less", { groups: ["dev"] }],
    ["a group more", { groups: ["dev", "ops", "more"] }],
    ["another key", { cnf: { jkt: "another" } }],
  ])("is not carried on by a token of %s, and the cluster hears nothing of it", async (_what, claims) => {
    const { exchangeId } = await live(60);
    const sent = send({ exchangeId, token: token(inSeconds(120), claims) });
    await expect(sent).rejects.toMatchObject(UNKNOWN);
    expect(idle.requests.size).toBe(0);
  });

  it("ends with its own token after such a one", async () => {
    const { exchangeId } = await live(2);
    await expect(send({ exchangeId, token: token(inSeconds(60), { groups: [] }) })).rejects.toMatchObject(UNKNOWN);
    expect(await client.fault()).toMatchObject(EXPIRED);
  });

  it.each<[what: string, made: () => string]>([
    ["that expires earlier", () => token(inSeconds(30))],
    ["that has expired", () => token(inSeconds(-60))],
    ["for another audience", () => token(inSeconds(120), { aud: "others" })],
    ["that was altered", () => `${token(inSeconds(120)).slice(0, -6)}AAAAAA`],
    ["that is none", () => "none"],
    ["that is empty", () => ""],
  ])("is not carried on by a token %s", async (_what, made) => {
    const { exchangeId } = await live(60);
    const sent = send({ exchangeId, token: made() });
    await expect(sent).rejects.toMatchObject({ code: ErrorCode.TOKEN_REFUSED, hop: Hop.RELAY });
    expect(idle.requests.size).toBe(0);
  });

  it("of somebody else, one that is unknown, and one of another cluster read alike", async () => {
    const { exchangeId } = await live(60);
    const newer = token(inSeconds(120));
    const fault = (init: Partial<Credential>) =>
      send(init).catch(({ code, message }) => JSON.stringify([code, message]));
    const refusals = [
      await fault({ exchangeId, token: token(inSeconds(120), { sub: "joe" }) }),
      await fault({ exchangeId: newExchangeId(), token: newer }),
      await fault({ exchangeId, cluster: "stage", token: newer }),
      await fault({ exchangeId, token: token(inSeconds(120), { groups: [] }) }),
    ];
    expect(new Set(refusals).size).toBe(1);
  });

  it("is not found any more when it has ended", async () => {
    const { exchangeId } = await live(60);
    client.lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "the client went away"));
    await lane.closes.take();
    await expect(send({ exchangeId, token: token(inSeconds(120)) })).rejects.toMatchObject(UNKNOWN);
  });

  it("that a rule's expiry ends, ends by it, whatever the token", async () => {
    await relay.as("root").accessRules.deleteAccessRule({ name: "everybody" });
    const expireTime = { seconds: BigInt(inSeconds(3)), nanos: 0 };
    await allow("shift", { expireTime });
    const { exchangeId } = await live(60);
    const sent = send({ exchangeId, token: token(inSeconds(120)) });
    await cluster("accepts");
    await sent;
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
  });

  it("of a narrowed context stays as narrow: the rules see its groups, not the newer token's", async () => {
    await allow("team", { users: [], groups: ["dev"] });
    const scope = create(ScopeSchema, { groups: { names: ["dev"] } });
    const { exchangeId } = await live(60, { ...WATCH, scope });
    const sent = send({ exchangeId, token: token(inSeconds(120)) });
    await cluster("accepts");
    await sent;
    await relay.as("root").accessRules.deleteAccessRule({ name: "everybody" });
    await relay.as("root").accessRules.updateAccessRule({
      accessRule: { name: "team", users: [], groups: ["ops"], clusters: ["prod"] },
    });
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
  });
});

describe("a credential", () => {
  it("for which the agent has no idle lane is refused for a moment, and one more is asked for", async () => {
    const { exchangeId } = await live(60);
    const newer = token(inSeconds(120));
    idle.lane.end();
    while (relay.counts.agent_lanes !== 1) await new Promise((resolve) => setImmediate(resolve));
    while (agent.told.size > 0) await agent.told.take();
    const refused = { code: ErrorCode.TIMED_OUT, hop: Hop.AGENT, retryAfterSeconds: 1 };
    await expect(send({ exchangeId, token: newer })).rejects.toMatchObject(refused);
    expect(await agent.told.take()).toMatchObject({ case: "laneDemand", value: { lanes: 1 } });
    const offered = await offerLane();
    const sent = send({ exchangeId, token: newer });
    await cluster("accepts", offered);
    await sent;
  });

  it("goes to the agent that carries the exchange, and to no other of the cluster", async () => {
    const { exchangeId } = await live(60);
    const { lanes } = await AgentFixture.attach(relay.connect(), identity, 1);
    while (relay.counts.agent_lanes !== 3) await new Promise((resolve) => setImmediate(resolve));
    const sent = send({ exchangeId, token: token(inSeconds(120)) });
    await cluster("accepts");
    await sent;
    expect(lanes[0]?.requests.size).toBe(0);
  });

  it("whose agent leaves while it is judged is refused", async () => {
    const { exchangeId } = await live(60);
    const sent = send({ exchangeId, token: token(inSeconds(120)) });
    const refused = expect(sent).rejects.toBeInstanceOf(FairleadError);
    await idle.requests.take();
    agent.control.reset(new FairleadError(ErrorCode.CANCELLED, Hop.AGENT, "leaving"));
    await refused;
  });

  it("that an older agent or identity proxy does not know costs the lane, and the exchange lives on", async () => {
    const { exchangeId } = await live(60);
    const sent = send({ exchangeId, token: token(inSeconds(120)) });
    const refused = expect(sent).rejects.toBeInstanceOf(FairleadError);
    await idle.requests.take();
    idle.lane.refuse(new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, "a message is not one known frame"));
    await refused;
    expect([client.lane.inExchange, lane.lane.inExchange]).toEqual([true, true]);
  });

  it("of an exchange that has one under way is refused until that one is judged", async () => {
    const { exchangeId } = await live(60);
    const taken = await offerLane(); // the last one in is the first one out
    const first = send({ exchangeId, token: token(inSeconds(120)) });
    expect((await taken.requests.take()).case).toBe("credential");
    await expect(send({ exchangeId, token: token(inSeconds(130)) })).rejects.toMatchObject({
      code: ErrorCode.LIMIT_EXCEEDED,
      retryAfterSeconds: 1,
    });
    expect(idle.requests.size).toBe(0);
    taken.answer("", 204);
    await first;
  });

  it("is refused, and the lane lives on", async () => {
    const { exchangeId } = await live(60);
    const { lane: own } = await openClient();
    const refused = create(CredentialSchema, { exchangeId, cluster: "stage", token: token(inSeconds(120)) });
    for (let i = 0; i < 3; i++) await expect(sendCredential(own, refused, Hop.RELAY)).rejects.toMatchObject(UNKNOWN);
    const sent = sendCredential(own, { ...refused, cluster: "prod" }, Hop.RELAY);
    await cluster("accepts");
    await sent;
  });
});

describe("the limits", () => {
  it("count a credential as a new exchange of its caller's", async () => {
    await relay.close();
    await startRelay({ newExchangesPerUserPerSecond: 1, newExchangesPerUserBurst: 3 });
    const { exchangeId } = await live(60);
    const wrong = { exchangeId: newExchangeId(), token: token(inSeconds(120)) };
    for (let i = 0; i < 2; i++) await expect(send(wrong)).rejects.toMatchObject(UNKNOWN);
    await expect(send({ ...wrong, exchangeId })).rejects.toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED });
    expect(idle.requests.size).toBe(0);
  });

  it("let a user who is at the limit of exchanges at once carry them on", async () => {
    await relay.close();
    await startRelay({ exchangesPerUser: 1, exchangesPerCluster: 1, exchangesPerRelay: 1 });
    const { exchangeId } = await live(60);
    const sent = send({ exchangeId, token: token(inSeconds(120)) });
    await cluster("accepts");
    await sent;
  });
});
