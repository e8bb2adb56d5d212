import { describe, expect, it } from "@jest/globals";
import { median, percentile } from "./percentile.ts";

describe("a percentile", () => {
  const hundred = Float64Array.from({ length: 100 }, (_, i) => i + 1);

  it.each([
    [0, 1],
    [0.5, 50],
    [0.99, 99],
    [0.991, 100],
    [1, 100],
  ])("%d of 1 to 100 is %d", (share, value) => {
    expect(percentile(hundred, share)).toBe(value);
  });

  it("of one value is that value", () => {
    expect(percentile([7], 0.5)).toBe(7);
    expect(percentile([7], 0.99)).toBe(7);
  });

  it("of nothing is not a number", () => {
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe("a median", () => {
  it.each<[number[], number]>([
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[10, 9], 9.5],
    [[5], 5],
  ])("of %j is %d", (values, middle) => {
    expect(median(values)).toBe(middle);
  });

  it("of nothing is not a number", () => {
    expect(median([])).toBeNaN();
  });
});
