import { describe, expect, it } from "@jest/globals";
import { TokenBucket } from "./token-bucket.ts";

/** Takes again and again at one moment. @returns what each was told */
function takeAt(bucket: TokenBucket, nowMs: number, times: number): number[] {
  return Array.from({ length: times }, () => bucket.take(nowMs));
}

describe("a token bucket", () => {
  it("gives a burst at once, and then no more", () => {
    const bucket = new TokenBucket({ perSecond: 2, burst: 3 }, 0);
    expect(takeAt(bucket, 0, 3)).toEqual([0, 0, 0]);
    expect(bucket.take(0)).toBeGreaterThan(0);
  });

  it("fills at its rate, a part of a token too, and never beyond its burst", () => {
    const bucket = new TokenBucket({ perSecond: 2, burst: 3 }, 0);
    takeAt(bucket, 0, 3);
    expect(bucket.take(499)).toBeGreaterThan(0);
    expect(bucket.take(500)).toBe(0);
    expect(bucket.isFull(1_999)).toBe(false);
    expect(bucket.isFull(2_000)).toBe(true);
    expect(takeAt(bucket, 3_600_000, 4).filter((waitMs) => waitMs === 0)).toHaveLength(3);
  });

  it("says when the next token is there, to whom it refuses", () => {
    const bucket = new TokenBucket({ perSecond: 2, burst: 2 }, 0);
    takeAt(bucket, 0, 2);
    expect(bucket.take(100)).toBe(400);
  });

  it("tells each whom it refuses another time, so that all come through at its rate", () => {
    const bucket = new TokenBucket({ perSecond: 2, burst: 2 }, 0);
    takeAt(bucket, 0, 2);
    expect(takeAt(bucket, 0, 5)).toEqual([500, 1_000, 1_500, 2_000, 2_500]);
    expect([500, 1_000, 1_500, 2_000, 2_500].map((nowMs) => bucket.take(nowMs))).toEqual([0, 0, 0, 0, 0]);
  });

  it("lets all of a burst that keep to what they are told, in whole seconds, through within ten attempts", () => {
    const bucket = new TokenBucket({ perSecond: 5, burst: 5 }, 0);
    const due = new Map<number, number[]>([[0, Array.from({ length: 200 }, () => 1)]]); // attempts, by second
    let [through, mostAttempts, second] = [0, 0, 0];
    for (; due.size > 0; second++) {
      for (const attempt of due.get(second) ?? []) {
        const waitMs = bucket.take(second * 1_000);
        if (waitMs === 0) through++;
        mostAttempts = Math.max(mostAttempts, attempt);
        const at = second + Math.ceil(waitMs / 1_000);
        if (waitMs > 0) due.set(at, [...(due.get(at) ?? []), attempt + 1]);
      }
      due.delete(second);
    }
    expect(through).toBe(200);
    expect(second).toBe(40); // as fast as the rate allows: 195 of them, 5 a second
    expect(mostAttempts).toBeLessThanOrEqual(10);
  });

  it("spreads them over 10 s at most, however many there are", () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 1 }, 0);
    expect(Math.max(...takeAt(bucket, 0, 10_000))).toBe(10_000);
    expect(bucket.take(10_000)).toBe(0);
  });

  it("tells no time before there can be a token, also when that is more than 10 s away", () => {
    const bucket = new TokenBucket({ perSecond: 0.05, burst: 1 }, 0);
    expect(takeAt(bucket, 0, 3)).toEqual([0, 20_000, 20_000]);
  });

  it("forgets whom it told to come when they did not", () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 1 }, 0);
    takeAt(bucket, 0, 9);
    expect(takeAt(bucket, 60_000, 2)).toEqual([0, 1_000]);
  });

  it("gives 1,000 tokens a second over an hour of asking all the time, and not one more than its burst beyond", () => {
    const bucket = new TokenBucket({ perSecond: 1_000, burst: 1_000 }, 0);
    let given = 0;
    for (let nowMs = 0; nowMs < 3_600_000; nowMs += 7)
      for (let i = 0; i < 8; i++) if (bucket.take(nowMs) === 0) given++;
    expect(given).toBeLessThanOrEqual(3_601_000);
    expect(given).toBeGreaterThan(3_599_000);
  });
});
