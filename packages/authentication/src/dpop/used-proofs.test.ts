import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { UsedProofs } from "./used-proofs.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

describe("the proofs that were used", () => {
  it("are each new once", () => {
    const used = new UsedProofs(1_000);
    expect([used.use("a"), used.use("b"), used.use("a"), used.use("b")]).toEqual([true, true, false, false]);
  });

  it("are forgotten when they cannot be used any more, and not before", () => {
    const used = new UsedProofs(1_000);
    used.use("a");
    jest.advanceTimersByTime(999);
    expect(used.use("a")).toBe(false);
    jest.advanceTimersByTime(1);
    expect(used.use("a")).toBe(true);
  });

  it("are no more than there is room for: what has none is not taken", () => {
    const used = new UsedProofs(1_000, 2);
    used.use("a");
    jest.advanceTimersByTime(500);
    used.use("b");
    expect(() => used.use("c")).toThrow(/too many/);
    expect(used.use("a")).toBe(false);
    jest.advanceTimersByTime(500);
    expect(used.use("c")).toBe(true);
    expect(() => used.use("d")).toThrow(/too many/);
  });
});
