import { ErrorCode, FairleadError, GrpcConnection, Hop, type Lane } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { RelayFixture, type ServedLane } from "../relay-fixture.ts";
import { LanePool } from "./lane-pool.ts";

let relay: RelayFixture;
let pool: LanePool;
let connections: number;

beforeEach(async () => {
  relay = new RelayFixture();
  await relay.start();
  connections = 0;
  pool = newPool();
});

afterEach(async () => {
  pool.close();
  jest.useRealTimers();
  await relay.stop();
});

function newPool(): LanePool {
  return new LanePool(relay.url, () => {
    connections++;
    return new GrpcConnection(() => ({ host: "127.0.0.1", port: relay.port }));
  });
}

const take = (gone = () => false) => pool.take(gone);

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets an exchange pass on a lane that was taken. */
async function exchange(lane: Lane, served: ServedLane): Promise<void> {
  const idle = new Promise<void>((resolve) =>
    lane.start({ frame: () => {}, drained: () => {}, idle: resolve, closed: () => resolve() }),
  );
  const head = {
    $typeName: "fairlead.tunnel.v1alpha1.RequestHead" as const,
    exchangeId: new Uint8Array(16),
    cluster: "prod",
    method: "GET",
    target: "/",
    headers: [],
    upgrade: "",
    wantsTimings: false,
    client: "",
  };
  const $typeName = "fairlead.tunnel.v1alpha1.WholeRequest";
  lane.sendRequest({ case: "whole", value: { $typeName, head, body: new Uint8Array(), trailers: [] } });
  await served.head();
  served.answer("ok");
  await idle;
}

describe("a lane", () => {
  it("is opened when it is needed, and one is opened ahead for the next request", async () => {
    expect(relay.opened).toBe(0);
    await take();
    await until(() => pool.counts.idle_lanes === 1);
    expect(pool.counts).toEqual({ lanes: 2, idle_lanes: 1 });
    expect([relay.opened, connections]).toEqual([2, 1]);
  });

  it("that was opened ahead is what the next request gets, and another is opened ahead", async () => {
    await take();
    await until(() => pool.counts.idle_lanes === 1);
    await take();
    await until(() => pool.counts.idle_lanes === 1);
    expect(relay.opened).toBe(3);
  });

  it("is used again after its exchange, over and over", async () => {
    const lane = await take();
    const served = await relay.lanes.take();
    await until(() => pool.counts.idle_lanes === 1);
    for (let i = 0; i < 10; i++) {
      await exchange(lane, served);
      pool.release(lane);
      expect(await take()).toBe(lane); // the one that was used last
    }
    expect(relay.opened).toBe(2);
  });

  it("is opened for each of a hundred requests at once, on one connection", async () => {
    const lanes = await Promise.all(Array.from({ length: 100 }, () => take()));
    expect(new Set(lanes).size).toBe(100);
    expect([connections, relay.connections]).toEqual([1, 1]);
  });

  it("that the relay ended is not given out", async () => {
    const lane = await take();
    const served = await relay.lanes.take();
    await until(() => pool.counts.idle_lanes === 1);
    pool.release(lane);
    served.lane.end();
    await until(() => lane.closed);
    expect(await take()).not.toBe(lane);
    expect(pool.counts.lanes).toBe(2);
  });

  it("that is gone is not taken back", async () => {
    const lane = await take();
    await until(() => pool.counts.idle_lanes === 1);
    lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "the client went away"));
    pool.release(lane);
    expect(pool.counts).toEqual({ lanes: 1, idle_lanes: 1 });
  });

  it("beyond two is ended when it has been idle for a while", async () => {
    pool.close();
    jest.useFakeTimers({
      doNotFake: [
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
    pool = newPool();
    const lanes = await Promise.all(Array.from({ length: 6 }, () => take()));
    await until(() => pool.counts.idle_lanes === 1);
    for (const lane of lanes.slice(0, 5)) pool.release(lane);
    expect(pool.counts).toEqual({ lanes: 7, idle_lanes: 6 });
    jest.advanceTimersByTime(20_000);
    expect(pool.counts.idle_lanes).toBe(2);
    await until(() => pool.counts.lanes === 3);
    expect(lanes[5]?.closed).toBe(false); // it is in use
  });

  it("of a pool that is closed is ended, idle or not", async () => {
    const lane = await take();
    await until(() => pool.counts.idle_lanes === 1);
    pool.close();
    expect(lane.closed).toBe(true);
    await until(() => pool.counts.lanes === 0);
    expect(pool.counts).toEqual({ lanes: 0, idle_lanes: 0 });
  });
});

describe("a relay that is away", () => {
  it("is waited for by a request, and met when it is back", async () => {
    await relay.stop();
    const taken = take();
    await relay.start();
    expect((await taken).closed).toBe(false);
  });

  it("is waited for although lanes were open: they are gone with it", async () => {
    await take();
    await until(() => pool.counts.idle_lanes === 1);
    await relay.stop();
    await until(() => pool.counts.lanes === 0);
    const taken = take();
    await relay.start();
    expect((await taken).closed).toBe(false);
  });

  it("is waited for 4 s by the first request; those behind it fail at once, with the relay's address and what to do", async () => {
    await relay.stop();
    const from = performance.now();
    const unreachable = { code: ErrorCode.UNREACHABLE, hop: Hop.RELAY };
    await expect(take()).rejects.toMatchObject(unreachable);
    const waitedMs = performance.now() - from;
    expect(waitedMs).toBeGreaterThan(3_900);
    expect(waitedMs).toBeLessThan(5_000);
    for (let i = 0; i < 4; i++) {
      const again = performance.now();
      const failed = take();
      await expect(failed).rejects.toMatchObject(unreachable);
      await expect(failed).rejects.toThrow(
        new RegExp(`the relay https://127.0.0.1:${relay.port} cannot be reached: .*check the address, your network`),
      );
      expect(performance.now() - again).toBeLessThan(500);
    }
    expect(pool.counts).toEqual({ lanes: 0, idle_lanes: 0 });
  });

  it("is not waited for when the request was taken back", async () => {
    await relay.stop();
    await expect(take(() => true)).rejects.toMatchObject({ code: ErrorCode.UNREACHABLE });
  });
});

describe("a relay that refuses a lane", () => {
  it("is not asked again, and what it says is what the caller hears", async () => {
    relay.plan = [new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, "too many lanes are open")];
    await expect(take()).rejects.toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, message: "too many lanes are open" });
    expect(relay.opened).toBe(1);
    expect(pool.counts).toEqual({ lanes: 0, idle_lanes: 0 });
  });

  it("because it is stopping is asked again, until another takes its place", async () => {
    relay.plan = [new FairleadError(ErrorCode.DRAINING, Hop.RELAY, "the relay is stopping"), "serve"];
    expect((await take()).closed).toBe(false);
  });

  it("that was only opened ahead does not trouble anybody", async () => {
    relay.plan = ["serve", new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, "too many"), "serve"];
    await take();
    await until(() => relay.opened === 2 && pool.counts.lanes === 1);
    expect((await take()).closed).toBe(false);
  });

  it("by never saying ready is given up after 3 s, and asked again", async () => {
    relay.plan = ["ignore", "serve"];
    const from = performance.now();
    expect((await take()).closed).toBe(false);
    expect(performance.now() - from).toBeLessThan(4_000);
    expect(pool.counts.lanes).toBeLessThanOrEqual(2);
  });
});
