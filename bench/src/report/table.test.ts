import { describe, expect, it } from "@jest/globals";
import type { Row } from "../case.ts";
import { format, markdownTables } from "./table.ts";

const cases = [
  { name: "small-get", title: "Small GETs" },
  { name: "bulk", title: "Bulk" },
];

const row = (path: string, more: Partial<Row> = {}): Row => ({
  case: "small-get",
  variant: "1 at once",
  path,
  figures: [{ name: "p50", unit: "ms", value: 0.5 }],
  ...more,
});

describe("the tables", () => {
  it("are one for each variant, a row for each path", () => {
    const text = markdownTables(cases, [row("direct"), row("fairlead"), row("direct", { variant: "8 at once" })]);
    expect(text.trim().split("\n")).toEqual([
      ...["## small-get", "", "Small GETs.", "", "### 1 at once", ""],
      ...["| path | p50, ms |", "| --- | ---: |", "| direct | 0.50 |", "| fairlead | 0.50 |", ""],
      ...["### 8 at once", "", "| path | p50, ms |", "| --- | ---: |", "| direct | 0.50 |"],
    ]);
  });

  it("show the ratio to direct where there is one", () => {
    const text = markdownTables(cases, [
      row("direct", { ratioToDirect: 1 }),
      row("fairlead", { ratioToDirect: 0.663 }),
    ]);
    expect(text).toContain("| fairlead | 0.66 | 0.50 |");
  });

  it("show the figures of processes in one cell, and nothing where a path has no such figure", () => {
    const cpu = (process: string, value: number) => ({ name: "CPU", unit: "us", value, process });
    const figures = [cpu("relay", 12.34), cpu("agent", 1234)];
    expect(
      markdownTables(cases, [row("direct"), row("fairlead", { figures })])
        .trim()
        .split("\n")
        .slice(-4),
    ).toEqual([
      "| path | p50, ms | CPU by process, µs |",
      "| --- | ---: | ---: |",
      "| direct | 0.50 |  |",
      "| fairlead |  | relay 12.3, agent 1234 |",
    ]);
  });

  it("say what failed", () => {
    const failures = { count: 2, first: "HTTP/1.1 503 Service Unavailable" };
    const text = markdownTables(cases, [row("fairlead", { failures })]);
    expect(text).toContain("| fairlead (**2 failed**: HTTP/1.1 503 Service Unavailable) |");
  });
});

describe("a figure", () => {
  it.each([
    [0.123, "0.12"],
    [9.999, "10.00"],
    [12.34, "12.3"],
    [123.4, "123"],
    [-12.34, "-12.3"],
    [Number.NaN, "-"],
  ])("%d is shown as %s", (value, shown) => {
    expect(format({ value })).toBe(shown);
  });
});
