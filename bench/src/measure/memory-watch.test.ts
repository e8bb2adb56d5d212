import { expect, it } from "@jest/globals";
import { type MemorySample, MemoryWatch, medianOfMinute, slopeKibPerMinute } from "./memory-watch.ts";

/** Ten minutes, a sample each 5 s. */
const samples = (mibAt: (seconds: number) => number): MemorySample[] =>
  Array.from({ length: 121 }, (_, i) => ({ atSeconds: i * 5, mib: mibAt(i * 5) }));

it("a slope is what a leak adds in a minute, whatever saw-tooth lies on it", () => {
  expect(slopeKibPerMinute(samples(() => 80))).toBe(0);
  expect(slopeKibPerMinute(samples((seconds) => 80 + seconds / 60))).toBeCloseTo(1_024);
  const leaking = slopeKibPerMinute(samples((seconds) => 80 + seconds / 600 + (seconds % 10)));
  expect(leaking).toBeGreaterThan(80);
  expect(leaking).toBeLessThan(125);
});

it("the first and the last minute have medians of their own", () => {
  const growing = samples((seconds) => seconds);
  expect(medianOfMinute(growing, "first")).toBe(30);
  expect(medianOfMinute(growing, "last")).toBe(570);
});

it("a watch sees this process", () => {
  const seen = new MemoryWatch({ self: process.pid }, 60_000).end();
  expect([...seen.keys()]).toEqual(["self"]);
  for (const { mib } of seen.get("self") ?? []) expect(mib).toBeGreaterThan(10);
});
