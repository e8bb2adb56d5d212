import { describe, expect, it } from "@jest/globals";
import type { Row } from "../case.ts";
import { mergeRuns } from "./merge-runs.ts";

const row = (path: string, p50: number, more: Partial<Row> = {}): Row => ({
  case: "small-get",
  variant: "1 at once",
  path,
  figures: [
    { name: "p50", unit: "ms", value: p50 },
    { name: "CPU", unit: "us", value: p50 * 10, process: "relay" },
    { name: "CPU", unit: "us", value: p50 * 100, process: "agent" },
  ],
  ...more,
});

describe("the rows of several runs", () => {
  it("become one row for each path, with the median of each figure", () => {
    const [direct, fairlead, ...others] = mergeRuns([
      [row("direct", 1), row("fairlead", 4)],
      [row("direct", 9), row("fairlead", 5)],
      [row("direct", 2), row("fairlead", 60)],
    ]);
    expect(others).toEqual([]);
    expect(direct).toEqual(row("direct", 2));
    expect(fairlead).toEqual(row("fairlead", 5));
  });

  it("have the median of the ratios", () => {
    const runs = [0.5, 0.9, 0.6].map((ratioToDirect) => [row("fairlead", 1, { ratioToDirect })]);
    expect(mergeRuns(runs)).toEqual([row("fairlead", 1, { ratioToDirect: 0.6 })]);
  });

  it("keep variants apart", () => {
    expect(mergeRuns([[row("direct", 1), row("direct", 2, { variant: "8 at once" })]])).toHaveLength(2);
  });

  it("say how often something failed in all of them, and the first failure", () => {
    const runs = [
      [row("fairlead", 1)],
      [row("fairlead", 1, { failures: { count: 2, first: "HTTP/1.1 503" } })],
      [row("fairlead", 1, { failures: { count: 3, first: "reset" } })],
    ];
    expect(mergeRuns(runs)[0]?.failures).toEqual({ count: 5, first: "HTTP/1.1 503" });
  });
});
