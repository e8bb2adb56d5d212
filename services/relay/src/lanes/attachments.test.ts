import { fromBinary } from "@bufbuild/protobuf";
import {
  AgentFrameSchema,
  ErrorCode,
  FairleadError,
  FrameStream,
  Hop,
  Lane,
  type RelayFrame,
  RelayFrameSchema,
} from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { Attachment } from "./attachment.ts";
import { Attachments, type TakenLane } from "./attachments.ts";
import { MemoryStream } from "./message-stream-fixture.ts";

const CLUSTER = "prod-eu1";
const LANE_WAIT_MS = 4_000;
const GONE = new FairleadError(ErrorCode.CONNECTION_LOST, Hop.AGENT, "the agent left");

let attachments: Attachments;
const agents: FakeAgent[] = [];

beforeEach(() => {
  jest.useFakeTimers();
  attachments = new Attachments();
});

afterEach(() => {
  for (const agent of agents.splice(0)) agent.attachment.end(GONE);
  expect(jest.getTimerCount()).toBe(0); // nothing waits, and nothing is trimmed, for ever
  jest.useRealTimers();
});

/** An agent as the relay sees it, with a control stream in memory. */
class FakeAgent {
  readonly control = new MemoryStream();
  readonly attachment: Attachment;

  constructor(cluster = CLUSTER) {
    const frames = new FrameStream(this.control, RelayFrameSchema, AgentFrameSchema, Hop.AGENT);
    frames.start({ frame: () => {}, closed: () => {} });
    this.attachment = new Attachment(cluster, "join", "0.1.0", frames);
    frames.send({ frame: { case: "registered", value: { cluster } } });
    attachments.add(this.attachment);
    agents.push(this);
  }

  /** Offers a new lane. */
  offerLane(): Lane {
    const lane = new Lane(new MemoryStream(), "requester", Hop.AGENT);
    this.attachment.add(lane);
    attachments.offer({ lane, attachment: this.attachment });
    return lane;
  }

  leave(): void {
    attachments.remove(this.attachment);
    this.attachment.end(GONE);
  }

  /** What the relay told it, but for the first frame. */
  get told(): RelayFrame["frame"][] {
    return this.control.sent.slice(1).map((message) => fromBinary(RelayFrameSchema, message).frame);
  }

  /** How many lanes the relay asked for, each time. */
  get demands(): number[] {
    return this.told.flatMap((frame) => (frame.case === "laneDemand" ? [frame.value.lanes] : []));
  }
}

const take = (cluster = CLUSTER, signal = new AbortController().signal) => attachments.take(cluster, signal);

/** What becomes of a wait, and when. */
function watch(taking: Promise<TakenLane>) {
  const outcome: { lane?: Lane; fault?: FairleadError; afterMs?: number } = {};
  const from = Date.now();
  taking.then(
    ({ lane }) => Object.assign(outcome, { lane, afterMs: Date.now() - from }),
    (fault) => Object.assign(outcome, { fault, afterMs: Date.now() - from }),
  );
  return outcome;
}

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

describe("an exchange gets a lane", () => {
  it("at once when one is idle", async () => {
    const agent = new FakeAgent();
    const lane = agent.offerLane();
    expect(await take()).toEqual({ lane, attachment: agent.attachment });
    expect(agent.demands).toEqual([]);
  });

  it("that was used last: it is the warmest", async () => {
    const agent = new FakeAgent();
    agent.offerLane();
    const last = agent.offerLane();
    expect((await take()).lane).toBe(last);
  });

  it("that is not closed", async () => {
    const agent = new FakeAgent();
    const open = agent.offerLane();
    agent.offerLane().reset(GONE);
    expect((await take()).lane).toBe(open);
    expect(agent.attachment.laneCount).toBe(1);
  });

  it("of its own cluster", async () => {
    new FakeAgent("other").offerLane();
    const outcome = watch(take());
    await pass(LANE_WAIT_MS);
    expect(outcome.fault).toMatchObject({ code: ErrorCode.AGENT_NOT_CONNECTED });
  });

  it("of another agent of the cluster when the first has none", async () => {
    new FakeAgent();
    const lane = new FakeAgent().offerLane();
    expect((await take()).lane).toBe(lane);
  });

  it("of the newest agent, which is surest to live", async () => {
    new FakeAgent().offerLane();
    const lane = new FakeAgent().offerLane();
    expect((await take()).lane).toBe(lane);
  });

  it("of an agent that is not stopping", async () => {
    const stopping = new FakeAgent();
    stopping.offerLane();
    stopping.attachment.retire();
    const lane = new FakeAgent().offerLane();
    expect((await take()).lane).toBe(lane);
  });

  it("that came back from another exchange", async () => {
    const agent = new FakeAgent();
    agent.offerLane();
    const taken = await take();
    const outcome = watch(take());
    await pass(100);
    attachments.offer(taken);
    await pass(0);
    expect(outcome).toMatchObject({ lane: taken.lane, afterMs: 100 });
  });
});

describe("an exchange that waits", () => {
  it("asks the agent for a lane, each for one", async () => {
    const agent = new FakeAgent();
    const outcomes = [watch(take()), watch(take()), watch(take())];
    expect(agent.demands).toEqual([1, 1, 1]);
    expect(attachments.waitingCount).toBe(3);
    for (const _ of outcomes) agent.offerLane();
    await pass(0);
    expect(outcomes.every(({ lane }) => lane !== undefined)).toBe(true);
    expect(attachments.waitingCount).toBe(0);
  });

  it("longest gets the next lane", async () => {
    const agent = new FakeAgent();
    const [first, second] = [watch(take()), watch(take())];
    const lane = agent.offerLane();
    await pass(0);
    expect(first.lane).toBe(lane);
    expect(second.lane).toBeUndefined();
    const next = agent.offerLane();
    await pass(0);
    expect(second.lane).toBe(next);
  });

  it("is served when the agent comes, which is asked for what its idle lanes do not cover", async () => {
    const outcomes = Array.from({ length: 5 }, () => watch(take()));
    await pass(1_000);
    const agent = new FakeAgent();
    expect(agent.demands).toEqual([3]); // it opens two by itself
    for (const _ of outcomes) agent.offerLane();
    await pass(0);
    expect(outcomes.map(({ afterMs }) => afterMs)).toEqual([1_000, 1_000, 1_000, 1_000, 1_000]);
  });

  it("is served by an agent that comes when the one it waited for has gone", async () => {
    const first = new FakeAgent();
    const outcome = watch(take());
    await pass(500);
    first.leave();
    await pass(500);
    const lane = new FakeAgent().offerLane();
    await pass(0);
    expect(outcome).toMatchObject({ lane, afterMs: 1_000 });
  });

  it("is not served by an agent that is stopping", async () => {
    const agent = new FakeAgent();
    const outcome = watch(take());
    agent.attachment.retire();
    agent.offerLane();
    await pass(0);
    expect(outcome.lane).toBeUndefined();
    await pass(LANE_WAIT_MS);
    expect(outcome.fault).toMatchObject({ code: ErrorCode.AGENT_NOT_CONNECTED });
  });

  it("leaves the queue when its client goes", async () => {
    const agent = new FakeAgent();
    const client = new AbortController();
    const outcome = watch(take(CLUSTER, client.signal));
    const next = watch(take());
    client.abort();
    await pass(0);
    expect(outcome.fault).toMatchObject({ code: ErrorCode.CANCELLED, hop: Hop.RELAY });
    expect(attachments.waitingCount).toBe(1);
    const lane = agent.offerLane();
    await pass(0);
    expect(next.lane).toBe(lane);
  });

  it("does not begin to wait when its client has gone already", async () => {
    const agent = new FakeAgent();
    const outcome = watch(take(CLUSTER, AbortSignal.abort()));
    await pass(0);
    expect(outcome.fault).toMatchObject({ code: ErrorCode.CANCELLED });
    expect(attachments.waitingCount).toBe(0);
    expect(agent.demands).toEqual([]);
  });
});

describe("patience", () => {
  it("with an agent that is away ends after 4 s, and the fault names the agent and the cluster", async () => {
    const outcome = watch(take());
    await pass(LANE_WAIT_MS - 1);
    expect(outcome.fault).toBeUndefined();
    await pass(1);
    expect(outcome).toMatchObject({ fault: { code: ErrorCode.AGENT_NOT_CONNECTED, hop: Hop.AGENT }, afterMs: 4_000 });
    expect(outcome.fault?.message).toMatch(/prod-eu1 is not connected.*check that it runs/);
    expect(attachments.waitingCount).toBe(0);
  });

  it("is over for those that come right behind: kubectl sends five in a row", async () => {
    await Promise.all([expect(take()).rejects.toThrow(), pass(LANE_WAIT_MS)]);
    for (let i = 0; i < 4; i++) {
      const outcome = watch(take());
      await pass(200);
      expect(outcome).toMatchObject({ fault: { code: ErrorCode.AGENT_NOT_CONNECTED }, afterMs: 0 });
    }
  });

  it("runs from the first that waits, not anew for each", async () => {
    watch(take());
    await pass(1_000);
    const second = watch(take());
    await pass(3_000);
    expect(second).toMatchObject({ fault: { code: ErrorCode.AGENT_NOT_CONNECTED }, afterMs: 3_000 });
  });

  it("begins anew after a quiet time", async () => {
    await Promise.all([expect(take()).rejects.toThrow(), pass(LANE_WAIT_MS)]);
    await pass(2_001);
    const outcome = watch(take());
    await pass(3_000);
    const lane = new FakeAgent().offerLane();
    await pass(0);
    expect(outcome.lane).toBe(lane);
  });

  it("begins anew when the agent has been back", async () => {
    await Promise.all([expect(take()).rejects.toThrow(), pass(LANE_WAIT_MS)]);
    new FakeAgent().leave();
    const outcome = watch(take());
    await pass(LANE_WAIT_MS - 1);
    expect(outcome.fault).toBeUndefined();
    await pass(1);
    expect(outcome.afterMs).toBe(4_000);
  });

  it("is each cluster's own", async () => {
    await Promise.all([expect(take("other")).rejects.toThrow(), pass(LANE_WAIT_MS)]);
    const outcome = watch(take());
    await pass(LANE_WAIT_MS);
    expect(outcome.afterMs).toBe(4_000);
  });

  it("with an agent that opens no lane ends too, with another fault", async () => {
    new FakeAgent();
    const outcome = watch(take());
    await pass(LANE_WAIT_MS);
    expect(outcome).toMatchObject({ fault: { code: ErrorCode.TIMED_OUT, hop: Hop.AGENT }, afterMs: 4_000 });
    expect(outcome.fault?.message).toMatch(/opened no lane in time/);
  });

  it("with an agent that says what is wrong ends with what it says", async () => {
    const agent = new FakeAgent();
    const sentence = "the agent cannot reach the identity proxy beside it; check that it runs";
    agent.attachment.problem = new FairleadError(ErrorCode.UNREACHABLE, Hop.IDENTITY_PROXY, sentence);
    const outcome = watch(take());
    await pass(LANE_WAIT_MS);
    expect(outcome.fault).toBe(agent.attachment.problem);
  });

  it("with an agent whose trouble is over does not tell it any more", async () => {
    const agent = new FakeAgent();
    agent.attachment.problem = new FairleadError(ErrorCode.UNREACHABLE, Hop.IDENTITY_PROXY, "trouble");
    const outcome = watch(take());
    await pass(1_000);
    agent.attachment.problem = undefined;
    await pass(3_000);
    expect(outcome.fault).toMatchObject({ code: ErrorCode.TIMED_OUT });
  });
});

describe("the queue", () => {
  it("has nothing left when all have given up, or gone", async () => {
    const client = new AbortController();
    const outcomes = Array.from({ length: 1_000 }, () => watch(take()));
    outcomes.push(watch(take(CLUSTER, client.signal)));
    await pass(0);
    expect(attachments.waitingCount).toBe(1_001);
    client.abort();
    await pass(LANE_WAIT_MS);
    expect(outcomes.every(({ fault }) => fault !== undefined)).toBe(true);
    expect(attachments.waitingCount).toBe(0);
  });
});

describe("when the relay stops", () => {
  it("what waits for a lane is refused at once, of every cluster, and nothing waits any more", async () => {
    const agent = new FakeAgent("other");
    const outcomes = [watch(take()), watch(take("other"))];
    await pass(100);
    attachments.drain();
    await pass(0);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ fault: { code: ErrorCode.DRAINING, hop: Hop.RELAY }, afterMs: 100 });
    }
    const later = watch(take());
    await pass(0);
    expect(later.fault).toMatchObject({ code: ErrorCode.DRAINING });
    expect(attachments.waitingCount).toBe(0);
    expect(agent.told.map((frame) => frame.case)).toEqual(["laneDemand"]);
  });

  it("it tells its agents first, takes no other in, and serves what comes still", async () => {
    const agent = new FakeAgent();
    attachments.handOver();
    expect(agent.told.map((frame) => frame.case)).toEqual(["drain"]);
    expect(() => attachments.checkTakesAgents()).toThrow(/the relay is stopping/);
    const outcome = watch(take());
    const lane = agent.offerLane();
    await pass(0);
    expect(outcome.lane).toBe(lane);
  });

  it("idle lanes are ended by it, and the others when they have served", async () => {
    const agent = new FakeAgent();
    const [idle, busy] = [agent.offerLane(), agent.offerLane()];
    expect((await take()).lane).toBe(busy);
    const ended = jest.spyOn(busy, "end");
    const endedIdle = jest.spyOn(idle, "end");
    attachments.drain();
    expect([endedIdle.mock.calls.length, ended.mock.calls.length]).toEqual([1, 0]);
    attachments.offer({ lane: busy, attachment: agent.attachment });
    expect(ended.mock.calls.length).toBe(1);
  });

  it("a lane that comes back serves nobody", async () => {
    const agent = new FakeAgent();
    agent.offerLane();
    const taken = await take();
    attachments.drain();
    attachments.offer(taken);
    const outcome = watch(take());
    await pass(0);
    expect(outcome.fault).toMatchObject({ code: ErrorCode.DRAINING });
  });
});

describe("an attachment", () => {
  it("is found by the id that only its agent was told", () => {
    const agent = new FakeAgent();
    expect(agent.attachment.sessionId).toHaveLength(32);
    expect(attachments.ofSession(agent.attachment.sessionId)).toBe(agent.attachment);
    expect(attachments.ofSession(new Uint8Array(32))).toBeUndefined();
    expect(attachments.ofSession(new Uint8Array())).toBeUndefined();
    expect(new FakeAgent().attachment.sessionId).not.toEqual(agent.attachment.sessionId);
  });

  it("is forgotten when its agent leaves, and another of the cluster stays", () => {
    const [first, second] = [new FakeAgent(), new FakeAgent()];
    // The newest comes first: of two, the older one may be dead without a word.
    expect(attachments.of(CLUSTER)).toEqual([second.attachment, first.attachment]);
    first.leave();
    expect(attachments.of(CLUSTER)).toEqual([second.attachment]);
    expect(attachments.all()).toEqual([second.attachment]);
    expect(attachments.ofSession(first.attachment.sessionId)).toBeUndefined();
    second.leave();
    expect(attachments.of(CLUSTER)).toEqual([]);
  });

  it("takes all of its lanes along when it ends, and tells the agent why", async () => {
    const agent = new FakeAgent();
    agent.offerLane();
    const { lane } = await take();
    const idle = agent.offerLane();
    agent.attachment.end(GONE);
    expect([lane.closed, idle.closed, agent.attachment.laneCount]).toEqual([true, true, 0]);
    expect(agent.control.brokenBy).toBe(GONE);
    agent.leave();
  });

  it("that is stopping takes no exchange, and is not told to attach elsewhere", () => {
    const agent = new FakeAgent();
    agent.attachment.retire();
    agent.attachment.handOver();
    expect(agent.told).toEqual([]);
    expect(agent.attachment.accepts).toBe(false);
  });

  it("ends idle lanes beyond two after a while, and keeps those in use", async () => {
    const agent = new FakeAgent();
    const lanes = Array.from({ length: 5 }, () => agent.offerLane());
    const { lane: used } = await take();
    await pass(20_000);
    expect(agent.attachment.laneCount).toBe(3);
    expect(used.closed).toBe(false);
    expect(lanes.filter((lane) => lane === used)).toHaveLength(1);
  });
});
