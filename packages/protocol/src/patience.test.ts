import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { LANE_WAIT_MS } from "./limits.ts";
import { Patience } from "./patience.ts";

beforeEach(() => {
  jest.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  jest.useRealTimers();
});

describe("patience with a peer that is away", () => {
  it("lasts 4 s for the first request", () => {
    const patience = new Patience();
    expect(patience.begin()).toBe(LANE_WAIT_MS);
    jest.advanceTimersByTime(1_500);
    expect(patience.left()).toBe(LANE_WAIT_MS - 1_500);
    jest.advanceTimersByTime(LANE_WAIT_MS);
    expect(patience.left()).toBe(0);
  });

  it("is used up for the requests right behind it", () => {
    const patience = new Patience();
    patience.begin();
    jest.advanceTimersByTime(LANE_WAIT_MS);
    expect(patience.left()).toBe(0);
    for (let i = 0; i < 5; i++) {
      jest.advanceTimersByTime(100);
      expect(patience.begin()).toBe(0);
    }
  });

  it("is whole again after a quiet time, or when the peer was met", () => {
    const patience = new Patience();
    patience.begin();
    jest.advanceTimersByTime(LANE_WAIT_MS);
    expect(patience.begin()).toBe(LANE_WAIT_MS); // nobody had asked for 4 s
    jest.advanceTimersByTime(1_000);
    expect(patience.begin()).toBe(LANE_WAIT_MS - 1_000);
    patience.met();
    expect(patience.begin()).toBe(LANE_WAIT_MS);
  });
});
