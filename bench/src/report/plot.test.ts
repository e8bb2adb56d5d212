import { expect, it } from "@jest/globals";
import type { Row } from "../case.ts";
import { plotOf } from "./plot.ts";

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
