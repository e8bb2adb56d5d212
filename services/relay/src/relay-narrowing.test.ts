import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ErrorCode, Hop, type RequestHead, ScopeSchema } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture, type ServedLane } from "./agent-fixture.ts";
import { ClientFixture, headFor } from "./client-fixture.ts";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

/** How late an exchange may end, in milliseconds, as it is documented. */
const PROMISED_MS = 5_000;
const EXEC = { method: "GET", target: "/api/v1/namespaces/ns/pods/p/exec", upgrade: "websocket" };
const WATCH = { target: "/api/v1/pods?watch=true" };

let tls: RelayTls;
let relay: RelayFixture;
let lane: ServedLane;
let client: ClientFixture;

beforeAll(async () => {
  tls = await issueRelayTls();
});

beforeEach(async () => {
  relay = await RelayFixture.start(tls);
  const { lanes } = await AgentFixture.attach(relay.connect(), await relay.makeCluster("prod", []));
  [lane] = lanes as [ServedLane];
  client = new ClientFixture(relay.connect());
  await client.opened;
});

afterEach(() => relay.close());

const rules = () => relay.as("root").accessRules;
const allow = (name: string, rule: object) =>
  rules().createAccessRule({ accessRule: { name, users: ["jane"], clusters: ["prod"], ...rule } });
const inMs = (ms: number) => timestampFromMs(Date.now() + ms);

/** A head of Jane's. */
const janes = (changes: Partial<RequestHead> = {}, claims: Record<string, unknown> = {}) =>
  headFor("prod", relay.issuer.token({ sub: "jane", ...claims }), changes);

/** Begins a request whose answer has begun. @returns when it was begun */
async function live(head: RequestHead): Promise<number> {
  if (head.upgrade) client.begin(head);
  else client.request(head);
  await lane.requests.take();
  const $typeName = "fairlead.tunnel.v1alpha1.ResponseHead" as const;
  const text = { reason: "", headers: [], timings: [], upgrade: head.upgrade };
  const status = head.upgrade ? 101 : 200;
  lane.lane.sendResponse({ case: "head", value: { $typeName, exchangeId: head.exchangeId, status, ...text } });
  expect((await client.responses.take()).case).toBe("head");
  return Date.now();
}

/** A token's times are whole seconds. */
const expiringIn = (seconds: number) => ({ exp: Math.floor(Date.now() / 1_000) + seconds });

describe("a read-only rule", () => {
  beforeEach(() => allow("viewers", { readOnly: true }));

  it("lets a request that reads through to the agent", async () => {
    const answered = client.exchange(janes());
    await lane.serve("the list");
    expect(await answered).toBe("the list");
  });

  it.each([
    ["a delete", { method: "DELETE", target: "/api/v1/namespaces/ns/pods/p" }, /"delete pods" is more than reading/],
    ["an exec over SPDY", { ...EXEC, method: "POST", upgrade: "SPDY/3.1" }, /"create pods\/exec" is more/],
    ["an exec over WebSocket", EXEC, /"create pods\/exec" is more/],
    ["an exec in other letters", { ...EXEC, target: EXEC.target.replace("exec", "%65xec") }, /"create pods\/exec"/],
    ["an unclear path", { target: "/api/v1//pods" }, /"GET of an unclear path"/],
  ])("sends the agent nothing of %s", async (_what, changes, says) => {
    if (changes === EXEC || "upgrade" in changes) client.begin(janes(changes));
    else client.request(janes(changes));
    const fault = await client.fault();
    expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.RELAY });
    expect(fault.message).toMatch(says);
    expect(lane.requests.size).toBe(0);
    expect(relay.counts.admitted_exchanges).toBe(0);
  });

  it("shows the cluster, and gives a kubeconfig of it", async () => {
    const { clusters } = relay.as("jane");
    expect((await clusters.listClusters({})).clusters.map(({ name }) => name)).toEqual(["prod"]);
    expect((await clusters.getKubeconfig({ cluster: "prod" })).contextName).toBe("fairlead-prod");
  });

  it("that is said anew for all lets an exec through, and back again cuts it, but no watch", async () => {
    const accessRule = { name: "viewers", users: ["jane"], clusters: ["prod"] };
    await rules().updateAccessRule({ accessRule });
    await live(janes(EXEC));
    await rules().updateAccessRule({ accessRule: { ...accessRule, readOnly: true } });
    expect(await client.fault()).toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.RELAY });
    expect(await lane.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
  });

  it("that is said anew to be for reading cuts no watch", async () => {
    const accessRule = { name: "viewers", users: ["jane"], clusters: ["prod"] };
    await rules().updateAccessRule({ accessRule });
    await live(janes(WATCH));
    await rules().updateAccessRule({ accessRule: { ...accessRule, readOnly: true } });
    expect(relay.counts.exchanges).toBe(1);
  });
});

describe("a scope of groups", () => {
  const scope = (...names: string[]) => ({ scope: create(ScopeSchema, { groups: { names } }) });

  it("takes the rules of other groups away, and goes on to the cluster as it came", async () => {
    await allow("viewers", { users: [], groups: ["view"], readOnly: true });
    await allow("editors", { users: [], groups: ["edit"] });
    const groups = { groups: ["view", "edit"] };
    client.request(janes({ method: "DELETE", ...scope("view") }, groups));
    expect(await client.fault()).toMatchObject({ code: ErrorCode.ACCESS_DENIED });
    client.request(janes({ method: "DELETE", ...scope("edit") }, groups));
    const frame = await lane.requests.take();
    expect(frame.case === "whole" && frame.value.head?.scope?.groups?.names).toEqual(["edit"]);
  });
});

describe("a live exchange ends by itself", () => {
  it.each([
    ["a watch", WATCH],
    ["an exec", EXEC],
  ])("when its token expires: %s", async (_what, changes) => {
    await allow("all", {});
    const { exp } = expiringIn(2);
    await live(janes(changes, { exp }));
    const fault = await client.fault();
    expect(fault).toMatchObject({ code: ErrorCode.TOKEN_REFUSED, hop: Hop.RELAY });
    expect(fault.message).toMatch(/your token expired while the request was under way; get a new one/);
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1_000);
    expect(Date.now() - exp * 1_000).toBeLessThan(PROMISED_MS);
    expect(await lane.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
    expect(relay.counts.admitted_exchanges).toBe(0);
  });

  it.each([
    ["a watch", WATCH],
    ["an exec", EXEC],
  ])("when the rule that let it in expires: %s", async (_what, changes) => {
    await allow("shift", { expireTime: inMs(1_500) });
    const begunMs = await live(janes(changes));
    expect(await client.fault()).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN, hop: Hop.RELAY });
    expect(Date.now() - begunMs).toBeLessThan(1_500 + PROMISED_MS);
  });

  it("when only a read-only rule is left, if it does more than read", async () => {
    await allow("shift", { expireTime: inMs(1_500) });
    await allow("viewers", { readOnly: true });
    await live(janes(EXEC));
    expect(await client.fault()).toMatchObject({ code: ErrorCode.ACCESS_DENIED });
  });

  it("but goes on when another rule has begun to let it in meanwhile", async () => {
    await allow("shift", { expireTime: inMs(1_000) });
    await allow("next-shift", { notBeforeTime: inMs(500) });
    await live(janes(WATCH));
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // two looks at what has expired
    expect(relay.counts.exchanges).toBe(1);
    expect(client.responses.size).toBe(0);
  });

  it("but not while its token is good, however often it is looked at", async () => {
    await allow("all", {});
    await live(janes(WATCH, expiringIn(60)));
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(relay.counts.exchanges).toBe(1);
  });
});

describe("an explanation", () => {
  it("is what then happens", async () => {
    await allow("viewers", { readOnly: true });
    await allow("ci", { users: [], userPrefixes: ["repo:acme/app:"], expireTime: inMs(60_000) });
    const ask = (user: string) => rules().explainAccess({ user, groups: [], cluster: "prod" });
    expect(await ask("jane")).toMatchObject({ level: 2, rules: [{ applies: false }, { applies: true }] });
    expect((await ask("jane")).untilTime).toBeUndefined();
    const ci = await ask("repo:acme/app:ref:refs/heads/main");
    expect(ci).toMatchObject({ level: 3, rules: [{ applies: true, accessRule: { name: "ci" } }, { applies: false }] });
    expect(ci.untilTime).toBeDefined();
    expect(await ask("joe")).toMatchObject({ level: 1 });
    const head = headFor("prod", relay.token("repo:acme/app:ref:refs/heads/main"), { method: "DELETE" });
    client.request(head);
    expect((await lane.requests.take()).case).toBe("whole");
  });

  it("of a cluster that is not there says so", async () => {
    await expect(rules().explainAccess({ user: "jane", cluster: "none" })).rejects.toThrow(/there is no cluster none/);
  });
});
