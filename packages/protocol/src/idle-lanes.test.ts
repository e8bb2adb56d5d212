import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { IDLE_LANES, IdleLanes } from "./idle-lanes.ts";
import type { Lane, LaneEvents } from "./lane.ts";

let ended: Lane[];
let idle: IdleLanes;

beforeEach(() => {
  jest.useFakeTimers();
  ended = [];
  idle = new IdleLanes((lane) => ended.push(lane));
});
afterEach(() => {
  idle.stop();
  jest.useRealTimers();
});

/** A lane that notes whose it is. */
class FakeLane {
  closed = false;
  ends = 0;
  owner: LaneEvents | undefined;
  start(owner: LaneEvents): void {
    this.owner = owner;
  }
  resume(): void {}
  end(): void {
    this.ends++;
  }
}

const newLane = () => new FakeLane() as FakeLane & Lane;

describe("idle lanes", () => {
  it("are taken last in, first out, and closed ones not at all", () => {
    const [first, second, closed] = [newLane(), newLane(), newLane()];
    for (const lane of [first, second, closed]) idle.keep(lane);
    closed.closed = true;
    expect([idle.take(), idle.take(), idle.take()]).toEqual([second, first, undefined]);
  });

  it("beyond the number that is kept are ended after a while", () => {
    const lanes = Array.from({ length: IDLE_LANES + 1 }, newLane);
    for (const lane of lanes) idle.keep(lane);
    jest.advanceTimersByTime(20_000);
    expect(ended).toEqual([lanes[0]]);
    expect(idle.count).toBe(IDLE_LANES);
  });
});

describe("lanes whose peer is stopping", () => {
  it("are ended at once if they are idle, and else when they are kept", () => {
    const [resting, busy, other] = [newLane(), newLane(), newLane()];
    for (const lane of [resting, other]) idle.keep(lane);
    idle.retire([resting, busy]);
    expect([resting.ends, busy.ends, other.ends]).toEqual([1, 0, 0]);
    idle.keep(busy);
    expect(busy.ends).toBe(1);
    expect(ended).toEqual([resting, busy]);
    expect([idle.take(), idle.take()]).toEqual([other, undefined]);
  });

  it("are not their last exchange's any more: their end is not told to who had them", () => {
    const busy = newLane();
    const exchange: LaneEvents = { frame: () => {}, drained: () => {}, idle: () => {}, closed: jest.fn() };
    busy.start(exchange);
    idle.retire([busy]);
    idle.keep(busy);
    busy.owner?.closed();
    expect(exchange.closed).not.toHaveBeenCalled();
  });
});
