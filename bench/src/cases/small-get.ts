import type { BenchContext, Case, Figure, Row } from "../case.ts";
import type { ClosedLoopJob } from "../load/load-job.ts";
import { median } from "../load/percentile.ts";
import { interleaved } from "../measure/interleaved.ts";
import { type MeasuredLoad, measureLoad } from "../measure/measured-load.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";
import { RATIO } from "../report/plot.ts";
import { failuresOf, medianOf, perProcess } from "./figures.ts";

const WARM_UP_MS = 500;

/** GETs of about 1 KiB, as fast as they are answered. */
export const smallGet: Case = {
  name: "small-get",
  title: "Small GETs of about 1 KiB, each client sending the next when the last is answered",
  inQuick: true,
  plotted: RATIO,
  run: async (context) => {
    const rows: Row[] = [];
    for (const origin of [await context.apiserver(), await context.fastOrigin()]) {
      for (const connections of context.options.quick ? [1, 64] : [1, 8, 64, 256]) {
        rows.push(...(await measureAt(context, origin, connections)));
      }
    }
    return rows;
  },
};

async function measureAt(context: BenchContext, origin: Origin, connections: number): Promise<Row[]> {
  const variant = `${origin.name}, ${connections} at once`;
  context.tell(`small-get: ${variant}`);
  const paths = await context.paths(origin);
  const { rounds, roundSeconds } = context.options;
  const job = (path: Path): ClosedLoopJob => ({
    kind: "closed loop",
    endpoint: path.endpoint,
    target: origin.smallGet,
    connections,
    warmUpMs: WARM_UP_MS,
    measureMs: roundSeconds * 1_000,
  });
  const measured = await interleaved(paths, rounds, (path) => measureLoad(context, origin, path, job(path)));
  const [straight = []] = measured.values();
  return [...measured].map(([path, results]) => ({
    case: smallGet.name,
    variant,
    path: path.name,
    figures: figuresOf(results, straight),
    ratioToDirect: medianOf(results, perSecond) / medianOf(straight, perSecond),
    ...failuresOf(results),
  }));
}

const perSecond = ({ requests, seconds }: MeasuredLoad): number => requests / seconds;

function figuresOf(results: readonly MeasuredLoad[], straight: readonly MeasuredLoad[]): Figure[] {
  const p50 = medianOf(results, ({ p50Ms }) => p50Ms);
  const cpu = perProcess(results, ({ cpuUs, requests }, process) => (cpuUs[process] ?? 0) / requests);
  const total = results.map(({ cpuUs, requests }) => Object.values(cpuUs).reduce((sum, us) => sum + us, 0) / requests);
  return [
    { name: "throughput", unit: "1/s", value: medianOf(results, perSecond) },
    { name: "p50", unit: "ms", value: p50 },
    { name: "p50 added", unit: "ms", value: p50 - medianOf(straight, ({ p50Ms }) => p50Ms) },
    { name: "p99", unit: "ms", value: medianOf(results, ({ p99Ms }) => p99Ms) },
    { name: "CPU a request", unit: "us", value: median(total) },
    ...cpu.map(({ process, value }) => ({ name: "CPU a request", unit: "us", process, value })),
  ];
}
