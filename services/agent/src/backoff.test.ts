import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { Backoff } from "./backoff.ts";

afterEach(() => {
  jest.restoreAllMocks();
});

describe("the wait between two attempts", () => {
  it.each<[what: string, random: number, waits: number[]]>([
    ["is half of the doubled one at least", 0, [50, 100, 200, 400, 800, 1_500, 1_500, 1_500]],
    ["is all of the doubled one at most", 1, [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]],
    ["lies between", 0.5, [75, 150, 300, 600, 1_200, 2_250, 2_250, 2_250]],
  ])("%s", (_what, random, waits) => {
    jest.spyOn(Math, "random").mockReturnValue(random);
    const backoff = new Backoff();
    expect(waits.map(() => backoff.next())).toEqual(waits);
  });

  it("differs between agents, so that a relay that comes back does not meet all at once", () => {
    const waits = Array.from({ length: 1_000 }, () => {
      const backoff = new Backoff();
      for (let i = 0; i < 9; i++) backoff.next();
      return backoff.next();
    });
    expect(new Set(waits).size).toBeGreaterThan(900);
    expect(Math.min(...waits)).toBeLessThan(1_600);
    expect(Math.max(...waits)).toBeGreaterThan(2_900);
    for (const wait of waits) {
      expect(wait).toBeGreaterThanOrEqual(1_500);
      expect(wait).toBeLessThanOrEqual(3_000);
    }
  });

  it("is short again after an attempt that went well", () => {
    const backoff = new Backoff();
    for (let i = 0; i < 20; i++) backoff.next();
    backoff.reset();
    expect(backoff.next()).toBeLessThanOrEqual(100);
  });

  it("stays bounded after a week of attempts", () => {
    const backoff = new Backoff();
    for (let i = 0; i < 200_000; i++) backoff.next();
    const wait = backoff.next();
    expect(wait).toBeGreaterThanOrEqual(1_500);
    expect(wait).toBeLessThanOrEqual(3_000);
  });
});
