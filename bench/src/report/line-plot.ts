import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Case, Row } from "../case.ts";

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const WIDTH_PX = 1_000;
const HEIGHT_PX = 460;
const SECONDS_PER_MINUTE = 60;

/** The memory of each process over time, a line for each process of each variant. @returns an SVG */
export function memoryPlotOf({ name }: Pick<Case, "name">, rows: readonly Row[]): string {
  const lines = rows
    .filter((row) => row.case === name)
    .flatMap(({ variant, memory = {} }) =>
      Object.entries(memory).map(([process, samples]) => ({ name: `${process}, ${variant}`, samples })),
    );
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH_PX, height: HEIGHT_PX });
  chart.setOption({
    animation: false,
    backgroundColor: "#fff", // readable on a dark page too
    title: { text: `${name}: resident memory over time, MiB`, left: "center" },
    legend: { top: 34, left: 60, right: 60, data: lines.map((line) => line.name), itemGap: 28, itemWidth: 14 },
    grid: { left: 60, right: 60, top: 110, bottom: 50 },
    xAxis: { type: "value", name: "minutes", nameLocation: "middle", nameGap: 28 },
    yAxis: { type: "value", min: 0 },
    series: lines.map((line) => ({
      type: "line",
      name: line.name,
      showSymbol: false,
      data: line.samples.map(({ atSeconds, mib }) => [atSeconds / SECONDS_PER_MINUTE, mib]),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
