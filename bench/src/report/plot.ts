import { BarChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Case, Row } from "../case.ts";
import { format } from "./table.ts";

use([BarChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** What a case names to plot each row's ratio instead of a figure: it lets unlike variants share an axis. */
export const RATIO = "ratio to direct";

const WIDTH_PX = 1_000;
/** The height of what is not bars, and of each variant. */
const FRAME_PX = 110;
const BAR_PX = 16;
const GAP_PX = 24;

/** The main figure of a case as bars, a group for each variant, a colour for each path. @returns an SVG */
export function plotOf({ name, plotted }: Pick<Case, "name" | "plotted">, rows: readonly Row[]): string {
  const own = rows.filter((row) => row.case === name && plottedValue(row, plotted) !== undefined);
  const variants = [...new Set(own.map(({ variant }) => variant))];
  const paths = [...new Set(own.map(({ path }) => path))];
  const height = FRAME_PX + variants.length * (paths.length * BAR_PX + GAP_PX);
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH_PX, height });
  chart.setOption({
    animation: false,
    backgroundColor: "#fff", // readable on a dark page too
    title: { text: titleOf(name, plotted, own), left: "center" },
    // Fonts differ from the ones that echarts reckons with: names need room.
    legend: { top: 34, data: paths, itemGap: 28, itemWidth: 14 },
    grid: { left: 200, right: 60, top: 70, bottom: 30 },
    xAxis: { type: "value" },
    // Bars are drawn from the bottom up; inverted, they stand as the tables do.
    yAxis: { type: "category", data: variants, inverse: true },
    series: paths.map((path) => ({
      type: "bar",
      name: path,
      data: variants.map((variant) => figureOf(own, variant, path, plotted)),
      label: { show: true, position: "right", formatter: ({ value }: { value: unknown }) => labelOf(value) },
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

function figureOf(rows: readonly Row[], variant: string, path: string, figure: string): number | undefined {
  const row = rows.find((one) => one.variant === variant && one.path === path);
  return row && plottedValue(row, figure);
}

function plottedValue({ figures, ratioToDirect }: Row, figure: string): number | undefined {
  return figure === RATIO ? ratioToDirect : figures.find(({ name }) => name === figure)?.value;
}

function titleOf(name: string, figure: string, rows: readonly Row[]): string {
  const unit = rows.flatMap(({ figures }) => figures).find((one) => one.name === figure)?.unit;
  return unit ? `${name}: ${figure}, ${unit}` : `${name}: ${figure}`;
}

function labelOf(value: unknown): string {
  return typeof value === "number" ? format({ value }) : "";
}
