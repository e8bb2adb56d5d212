import { expect, it } from "@jest/globals";
import type { Row } from "../case.ts";
import { plotOf, RATIO } from "./plot.ts";

const row = (path: string, value: number): Row => ({
  case: "bulk",
  variant: "download, 1 stream",
  path,
  figures: [{ name: "throughput", unit: "MB/s", value }],
});

it("a plot is an SVG with each path, each variant and each value", () => {
  const other = { ...row("direct", 7), case: "small-get", variant: "elsewhere" };
  const svg = plotOf({ name: "bulk", plotted: "throughput" }, [row("direct", 1_234), row("fairlead", 99.5), other]);
  expect(svg).toMatch(/^<svg /);
  for (const text of ["bulk: throughput, MB/s", "direct", "fairlead", "download, 1 stream", "1234", "99.5"]) {
    expect(svg).toContain(text);
  }
  expect(svg).not.toContain("elsewhere");
});

it("a plot of ratios needs no figure", () => {
  const rows = [
    { ...row("direct", 1_234), ratioToDirect: 1 },
    { ...row("fairlead", 99.5), ratioToDirect: 0.081 },
  ];
  const svg = plotOf({ name: "bulk", plotted: RATIO }, rows);
  for (const text of ["bulk: ratio to direct", "1.00", "0.08"]) expect(svg).toContain(text);
  expect(svg).not.toContain("1234");
});
