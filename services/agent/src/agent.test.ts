import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode, FairleadError, Hop, MAX_AGENT_LANES } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { Agent } from "./agent.ts";
import { IdentityProxyFixture } from "./identity-proxy-fixture.ts";
import { type OfferedLane, RelayFixture } from "./relay-fixture.ts";

const PROOF = "proof.canary-7f3a";

let folder: string;
let relay: RelayFixture;
let identityProxy: IdentityProxyFixture;
let agent: Agent;
let prove: () => string;
let refusals: number;
let logged: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  relay = new RelayFixture();
  identityProxy = new IdentityProxyFixture(join(folder, "identity.sock"));
  await Promise.all([relay.start(), identityProxy.start()]);
  prove = () => PROOF;
  refusals = 0;
  logged = [];
  agent = new Agent({
    relay: { name: "relay", address: () => relay.address },
    identityProxy: { name: "identity proxy", address: () => identityProxy.address },
    enrolment: { prove: async () => prove(), refused: () => void refusals++ },
    clusterUid: "uid-1",
    nodeCount: async () => 3,
    version: "0.1.0",
    log: recordingLog(),
  });
});

afterEach(async () => {
  jest.useRealTimers();
  await agent.stop(0);
  await Promise.all([relay.stop(), identityProxy.stop()]);
  await rm(folder, { recursive: true });
});

function recordingLog(): Logger {
  const write = (...args: unknown[]) => void logged.push(JSON.stringify(args));
  return { debug: write, info: write, warn: write, error: write } as unknown as Logger;
}

/** Asks until the agent says so: what it notes when a stream ends, it notes a moment later. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

const lost = new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "the test cut it");

describe("an agent that starts", () => {
  it("attaches with its proof, its version and its cluster's uid", async () => {
    expect(agent.problem).toBe("not attached to the relay");
    agent.start();
    const attached = await relay.agents.take();
    expect(attached.token).toBe(`Bearer ${PROOF}`);
    expect(await attached.said.take()).toMatchObject({
      case: "register",
      value: { agentVersion: "0.1.0", clusterUid: "uid-1" },
    });
    attached.accept();
    await relay.takeLanes(2);
    expect(agent.problem).toBeUndefined();
    expect(agent.counts).toEqual({ sessions: 1, lanes: 2, exchanges: 0 });
  });

  it("says why it cannot prove its key", async () => {
    prove = () => {
      throw new Error("ENOENT: token");
    };
    agent.start();
    await until(() => agent.problem === "not attached to the relay: ENOENT: token");
    prove = () => PROOF;
    await relay.accept(1);
  });

  it.each([0, 1, 5])("offers as many lanes as the relay wants: %i, each with the session's id", async (idleLanes) => {
    agent.start();
    const attached = await relay.accept(idleLanes);
    const lanes = await relay.takeLanes(idleLanes);
    for (const { sessionId } of lanes) expect(Buffer.from(sessionId)).toEqual(Buffer.from(attached.sessionId));
    expect(agent.counts.lanes).toBe(idleLanes);
  });

  it("tells the identity proxy the way of each lane: the relay, and the session by a name that is not its secret", async () => {
    agent.start();
    const { sessionId } = await relay.accept(2);
    await relay.takeLanes(2);
    const ways = identityProxy.metadata.map((each) => [each["fairlead-relay"], each["fairlead-session"]]);
    expect(ways).toEqual([
      ["relay", expect.stringMatching(/^[0-9a-f]{16}$/)],
      ["relay", ways[0]?.[1]],
    ]);
    expect(Buffer.from(sessionId).toString("hex")).not.toContain(ways[0]?.[1]);
  });

  it("offers no lane that the identity proxy has not said ready to", async () => {
    identityProxy.ready = false;
    agent.start();
    await relay.accept(2);
    const [first] = [await identityProxy.lanes.take(), await identityProxy.lanes.take()];
    expect(relay.lanes.size).toBe(0);
    first.lane.sendReady();
    await relay.takeLanes(1);
    expect(relay.lanes.size).toBe(0);
  });

  it("offers nothing before the relay has taken it in", async () => {
    agent.start();
    const attached = await relay.agents.take();
    await attached.said.take();
    expect([identityProxy.opened, agent.counts.lanes]).toEqual([0, 0]);
  });
});

describe("an agent that is attached", () => {
  it("passes exchanges to the identity proxy and back, one after the other on one lane", async () => {
    agent.start();
    await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    for (const text of ["one", "two", "three"]) {
      lane?.request(text);
      const inbound = await identityProxy.laneOf(text);
      inbound.answer(`answer to ${text}`);
      expect(await lane?.answer()).toBe(`answer to ${text}`);
      identityProxy.lanes.put(inbound);
    }
  });

  it("opens another lane while one is in use, so that the next request finds one", async () => {
    agent.start();
    await relay.accept(1);
    const [first] = await relay.takeLanes(1);
    first?.request("one");
    const [second] = await relay.takeLanes(1);
    second?.request("two");
    await relay.takeLanes(1);
    expect(agent.counts).toEqual({ sessions: 1, lanes: 3, exchanges: 2 });
    (await identityProxy.laneOf("one")).answer("1");
    expect(await first?.answer()).toBe("1");
    (await identityProxy.laneOf("two")).answer("2");
    expect(await second?.answer()).toBe("2");
    expect(agent.counts).toEqual({ sessions: 1, lanes: 3, exchanges: 0 });
  });

  it("opens what the relay asks for beyond that", async () => {
    agent.start();
    const attached = await relay.accept(1);
    await relay.takeLanes(1);
    attached.demand(7);
    await relay.takeLanes(7);
    attached.demand(0);
    attached.demand(1);
    await relay.takeLanes(1);
    expect(agent.counts.lanes).toBe(9);
  });

  it("opens no more than 6,000 lanes, whatever the relay asks for", async () => {
    identityProxy.ready = false; // they are lanes to the identity proxy only
    agent.start();
    const attached = await relay.accept(1);
    attached.demand(4_000_000_000);
    attached.demand(5_000);
    await until(() => identityProxy.opened >= MAX_AGENT_LANES);
    expect(agent.counts.lanes).toBe(6_000);
    expect(identityProxy.opened).toBe(6_000);
  });

  it("opens a new lane for one that the relay ended after use", async () => {
    agent.start();
    await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    lane?.request("one");
    (await identityProxy.laneOf("one")).answer("1");
    await lane?.answer();
    await relay.takeLanes(1); // opened while the first was in use
    lane?.lane.end();
    await lane?.closes.take();
    await until(() => agent.counts.lanes === 1);
  });

  it("does not open lanes without pause for a relay that ends each unused", async () => {
    agent.start();
    await relay.accept(1);
    const from = performance.now();
    for (let i = 0; i < 5; i++) {
      const [lane] = await relay.takeLanes(1);
      lane?.lane.end();
    }
    expect(performance.now() - from).toBeGreaterThan(4 * 45);
  });

  it("resets the identity proxy's lane when the relay resets its own", async () => {
    agent.start();
    await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    lane?.request("one");
    const inbound = await identityProxy.laneOf("one");
    lane?.lane.reset(lost);
    expect(await inbound.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
    await relay.takeLanes(1); // and there is one for the next
  });

  it("tells the requester of an exchange whose identity proxy died", async () => {
    agent.start();
    await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    lane?.request("one");
    await identityProxy.laneOf("one");
    await identityProxy.stop();
    expect((await lane?.responses.take())?.case).toBe("error");
  });
});

describe("an agent's heartbeats", () => {
  beforeEach(() => {
    jest.useFakeTimers({
      doNotFake: [
        "Date",
        "hrtime",
        "nextTick",
        "performance",
        "queueMicrotask",
        "setImmediate",
        "clearImmediate",
        "setTimeout",
        "clearTimeout",
      ],
    });
  });

  it("go out at the interval that the relay names", async () => {
    agent.start();
    const attached = await relay.accept(0, 10_000);
    await until(() => agent.problem === undefined);
    jest.advanceTimersByTime(9_999);
    expect(attached.said.size).toBe(0);
    for (let i = 0; i < 3; i++) {
      jest.advanceTimersByTime(10_000);
      expect((await attached.said.take()).case).toBe("heartbeat");
      attached.control.send({ frame: { case: "heartbeat", value: {} } });
    }
    expect(agent.problem).toBeUndefined();
  });

  it("are never more than one a second, whatever the relay names", async () => {
    agent.start();
    const attached = await relay.accept(0, 0);
    await until(() => agent.problem === undefined);
    jest.advanceTimersByTime(999);
    expect(attached.said.size).toBe(0);
    jest.advanceTimersByTime(1);
    expect((await attached.said.take()).case).toBe("heartbeat");
  });

  it("that stay without answer three times over make it attach anew", async () => {
    agent.start();
    const attached = await relay.accept(0, 10_000);
    await until(() => agent.problem === undefined);
    jest.advanceTimersByTime(30_000);
    for (let i = 0; i < 3; i++) expect((await attached.said.take()).case).toBe("heartbeat");
    jest.advanceTimersByTime(10_000);
    expect(await attached.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
    await relay.accept(0);
    await until(() => agent.problem === undefined);
  });
});

describe("an identity proxy that is away", () => {
  const problem = /cannot reach the identity proxy beside it; check that it runs/;

  it("when the agent starts is told to the relay once; when it comes, lanes are offered and the trouble is over", async () => {
    await identityProxy.stop();
    agent.start();
    const attached = await relay.accept(2);
    expect(await attached.said.take()).toMatchObject({
      case: "condition",
      value: {
        problem: { code: ErrorCode.UNREACHABLE, hop: Hop.IDENTITY_PROXY, message: expect.stringMatching(problem) },
      },
    });
    expect(agent.problem).toMatch(problem);
    await identityProxy.start();
    await relay.takeLanes(2);
    const over = await attached.said.take();
    expect(over.case === "condition" && over.value.problem).toBeUndefined();
    expect(attached.said.size).toBe(0);
    expect(agent.problem).toBeUndefined();
    expect(logged.filter((line) => problem.test(line))).toHaveLength(1);
  });

  it("for a while is told, and lanes are offered again when it is back", async () => {
    agent.start();
    const attached = await relay.accept(2);
    await relay.takeLanes(2);
    await identityProxy.stop();
    expect((await attached.said.take()).case).toBe("condition");
    await identityProxy.start();
    await relay.takeLanes(2);
    expect(agent.problem).toBeUndefined();
  });
});

describe("a relay that goes away", () => {
  it("and comes back finds the agent again, with new lanes for the new session", async () => {
    agent.start();
    const first = await relay.accept(1);
    await relay.takeLanes(1);
    await relay.stop();
    await until(() => agent.problem?.startsWith("not attached to the relay") === true);
    await relay.start();
    const second = await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    expect(Buffer.from(lane?.sessionId ?? [])).toEqual(Buffer.from(second.sessionId));
    expect(Buffer.from(second.sessionId)).not.toEqual(Buffer.from(first.sessionId));
    expect(agent.counts).toMatchObject({ sessions: 1 });
  });

  it("takes the exchanges of its session along at the identity proxy: nothing runs on for nobody", async () => {
    agent.start();
    await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    lane?.request("one");
    const inbound = await identityProxy.laneOf("one");
    await relay.stop();
    expect(await inbound.closes.take()).toBeDefined();
  });

  it("and refuses the agent is asked again, with the proof as it is then, and its enrolment is told", async () => {
    agent.start();
    const refusing = await relay.agents.take();
    prove = () => "another";
    refusing.control.refuse(
      new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, "the proof is not one of this relay's"),
    );
    const attached = await relay.agents.take();
    expect(attached.token).toBe("Bearer another");
    expect(refusals).toBe(1);
    expect(logged.join()).toMatch(/not one of this relay's/);
  });

  it("is dialled again although the key cannot be proved for a moment", async () => {
    agent.start();
    const first = await relay.accept(0);
    let failures = 0;
    prove = () => {
      if (failures++ < 2) throw new Error("ENOENT: token");
      return PROOF;
    };
    first.control.refuse(lost);
    await relay.accept(0);
    await until(() => agent.problem === undefined);
    expect(failures).toBe(3);
    expect(logged.join()).toMatch(/cannot attach to the relay/);
  });

  it.each<[what: string, bytes: number[]]>([
    ["a frame out of order", [0x0a, 0x00]],
    ["a frame that nobody knows", [0x7a, 0x00]],
    ["an empty message", []],
    ["a message that is no frame", [0xff, 0xff]],
  ])("sends %s: the agent leaves it and attaches anew", async (_what, bytes) => {
    agent.start();
    const attached = await relay.accept(0);
    attached.sendRaw(...bytes);
    await attached.closes.take();
    await relay.accept(0);
    await until(() => agent.problem === undefined);
  });
});

describe("a relay that stops", () => {
  it("is attached to anew at once, while an exchange of the old session ends", async () => {
    agent.start();
    const old = await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    lane?.request("one");
    const inbound = await identityProxy.laneOf("one");
    await relay.takeLanes(1);
    old.control.send({ frame: { case: "drain", value: {} } });
    await relay.accept(1);
    const [fresh] = await relay.takeLanes(1);
    expect(agent.counts).toMatchObject({ sessions: 2, exchanges: 1 });
    inbound.answer("still answered");
    expect(await lane?.answer()).toBe("still answered");
    fresh?.request("two");
    (await identityProxy.laneOf("two")).answer("by the new session");
    expect(await fresh?.answer()).toBe("by the new session");
    old.control.end();
    await until(() => agent.counts.sessions === 1);
    expect(agent.problem).toBeUndefined();
  });

  it("gets of the old session the lanes that it asks for, and no other", async () => {
    agent.start();
    const old = await relay.accept(1);
    const [first] = await relay.takeLanes(1);
    old.control.send({ frame: { case: "drain", value: {} } });
    old.demand(2);
    const asked = await relay.takeLanes(2);
    const sessionOf = (lane: OfferedLane | undefined) => Buffer.from(lane?.sessionId ?? []);
    for (const lane of asked) expect(sessionOf(lane)).toEqual(Buffer.from(old.sessionId));
    const fresh = await relay.accept(1);
    first?.lane.end();
    expect(sessionOf((await relay.takeLanes(1))[0])).toEqual(Buffer.from(fresh.sessionId));
    expect(relay.lanes.size).toBe(0);
  });
});

describe("an identity proxy that stops", () => {
  it("is left for the next one: a session of its own, and the lanes of the old one end when the relay ends them", async () => {
    agent.start();
    const old = await relay.accept(2);
    const [busy, idle] = await relay.takeLanes(2);
    busy?.request("one");
    const inbound = await identityProxy.laneOf("one");
    const [ahead] = await relay.takeLanes(1);
    identityProxy.goAway();
    await relay.accept(1);
    await relay.takeLanes(1);
    while ((await old.said.take()).case !== "drain");
    idle?.request("late"); // it was on its way when the agent said that it drains
    (await identityProxy.laneOf("late")).answer("answered all the same");
    expect(await idle?.answer()).toBe("answered all the same");
    inbound.answer("still answered");
    expect(await busy?.answer()).toBe("still answered");
    expect(agent.counts.sessions).toBe(2);
    for (const lane of [busy, idle, ahead]) lane?.lane.end();
    await until(() => agent.counts.sessions === 1);
    expect(agent.problem).toBeUndefined();
  });

  it("does not keep the agent from stopping where the relay never ends a lane", async () => {
    agent.start();
    await relay.accept(1);
    await relay.takeLanes(1);
    const begun = Date.now();
    await agent.stop(60_000);
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect(agent.counts.lanes).toBe(0);
  });
});

describe("an agent that stops", () => {
  it("says so, lets an exchange end, and has nothing left", async () => {
    agent.start();
    const attached = await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    lane?.request("one");
    const inbound = await identityProxy.laneOf("one");
    const stopped = agent.stop(10_000);
    expect((await attached.said.take()).case).toBe("drain");
    inbound.answer("in time");
    expect(await lane?.answer()).toBe("in time");
    await stopped;
    await attached.closes.take();
    expect(agent.counts).toEqual({ sessions: 0, lanes: 0, exchanges: 0 });
  });

  it("cuts an exchange at the end of the grace", async () => {
    agent.start();
    await relay.accept(1);
    const [lane] = await relay.takeLanes(1);
    lane?.request("one");
    const inbound = await identityProxy.laneOf("one");
    await agent.stop(100);
    expect(await lane?.closes.take()).toBeDefined();
    expect(await inbound.closes.take()).toBeDefined();
    expect(agent.counts).toEqual({ sessions: 0, lanes: 0, exchanges: 0 });
  });

  it("dials no more, also when it was about to", async () => {
    await relay.stop();
    agent.start();
    await until(() => agent.counts.sessions === 0); // it waits for its next attempt
    await agent.stop(0);
    await relay.start();
    expect(agent.counts).toEqual({ sessions: 0, lanes: 0, exchanges: 0 });
    expect(relay.agents.size).toBe(0);
  });
});

it("an agent's proof is in no line of its log", async () => {
  agent.start();
  const refusing = await relay.agents.take();
  refusing.control.refuse(lost);
  await relay.accept(1);
  await relay.takeLanes(1);
  await identityProxy.stop();
  await until(() => agent.problem !== undefined);
  expect(logged.length).toBeGreaterThan(1);
  expect(logged.join()).not.toContain(PROOF);
});

describe("whether requests would get through", () => {
  const report = { kubernetesVersion: "v1.36.3", capped: true };

  it("is asked of the identity proxy and told to the relay, with what the cluster is", async () => {
    identityProxy.check = { report };
    agent.start();
    const attached = await relay.accept(0);
    expect(await attached.said.take()).toMatchObject({
      case: "condition",
      value: { report: { ...report, nodeCount: 3 } },
    });
  });

  it("is told as the identity proxy says it when they would not, and the agent serves on", async () => {
    const problem = new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, "the apiserver is away").toMessage();
    identityProxy.check = { problem, report };
    agent.start();
    const attached = await relay.accept(1);
    expect(await attached.said.take()).toMatchObject({ case: "condition", value: { problem } });
    const [lane] = await relay.takeLanes(1);
    lane?.request("one");
    (await identityProxy.laneOf("one")).answer("1");
    expect(await lane?.answer()).toBe("1");
  });

  it("is told to a relay that the agent attaches to later", async () => {
    identityProxy.check = { report };
    agent.start();
    const first = await relay.accept(0);
    await first.said.take();
    first.control.refuse(lost);
    const second = await relay.accept(0);
    expect(await second.said.take()).toMatchObject({ case: "condition", value: { report } });
  });
});
