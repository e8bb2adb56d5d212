import { expect, it } from "@jest/globals";
import type { Row } from "../case.ts";
import { memoryPlotOf } from "./line-plot.ts";

it("a plot of memory is an SVG with a line for each process of the case's own rows", () => {
  const samples = [
    { atSeconds: 0, mib: 80 },
    { atSeconds: 60, mib: 81 },
  ];
  const row: Row = { case: "soak", variant: "fast origin", path: "fairlead", figures: [], memory: { relay: samples } };
  const svg = memoryPlotOf({ name: "soak" }, [row, { ...row, case: "other", memory: { agent: samples } }]);
  expect(svg).toMatch(/^<svg /);
  for (const text of ["soak: resident memory over time, MiB", "relay, fast origin"]) expect(svg).toContain(text);
  expect(svg).not.toContain("agent");
});
