import type { BenchContext, Case, Figure, Row } from "../case.ts";
import type { LoadJob } from "../load/load-job.ts";
import { interleaved } from "../measure/interleaved.ts";
import { type MeasuredLoad, measureLoad } from "../measure/measured-load.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";
import { RATIO } from "../report/plot.ts";
import { failuresOf, medianOf, perProcess } from "./figures.ts";

const MIB = 1024 * 1024;
const WARM_UP_MS = 700;
const DOWNLOAD_TARGET = `/bulk?bytes=${256 * MIB}`;
const UPLOAD_BYTES = 256 * MIB;

export type Direction = "download" | "upload";

/** Downloads and uploads, as fast as they go. */
export const bulk: Case = {
  name: "bulk",
  title:
    "Bulk transfers with the fast origin, each stream on a connection of its own; upload counts what the origin got",
  inQuick: true,
  plotted: RATIO,
  run: async (context) => {
    const rows: Row[] = [];
    for (const direction of ["download", "upload"] as const) {
      for (const streams of context.options.quick ? [1, 8] : [1, 4, 8]) {
        rows.push(...(await measureAt(context, direction, streams)));
      }
    }
    return rows;
  },
};

/**
 * The load of a bulk transfer.
 *
 * @param measureMs how long it is measured, in milliseconds
 * @param warmUpMs how long it runs before that, in milliseconds
 */
export function bulkJob(
  direction: Direction,
  origin: Origin,
  { endpoint }: Path,
  connections: number,
  measureMs: number,
  warmUpMs = WARM_UP_MS,
): LoadJob {
  const timed = { endpoint, connections, warmUpMs, measureMs };
  if (direction === "download") return { kind: "download", target: DOWNLOAD_TARGET, ...timed };
  return { kind: "upload", target: "/upload", bodyBytes: UPLOAD_BYTES, origin: origin.endpoint, ...timed };
}

async function measureAt(context: BenchContext, direction: Direction, streams: number): Promise<Row[]> {
  const variant = `${direction}, ${streams} ${streams === 1 ? "stream" : "streams"}`;
  context.tell(`bulk: ${variant}`);
  const origin = await context.fastOrigin();
  const paths = await context.paths(origin);
  const { rounds, roundSeconds } = context.options;
  const measured = await interleaved(paths, rounds, (path) =>
    measureLoad(context, origin, path, bulkJob(direction, origin, path, streams, roundSeconds * 1_000)),
  );
  const [straight = []] = measured.values();
  return [...measured].map(([path, results]) => ({
    case: bulk.name,
    variant,
    path: path.name,
    figures: bulkFiguresOf(results),
    ratioToDirect: medianOf(results, mbPerSecond) / medianOf(straight, mbPerSecond),
    ...failuresOf(results),
  }));
}

/** MB are millions of bytes. */
export const mbPerSecond = ({ bytes, seconds }: Pick<MeasuredLoad, "bytes" | "seconds">): number =>
  bytes / seconds / 1e6;

/** What was measured in all rounds of a bulk transfer. */
export function bulkFiguresOf(results: readonly MeasuredLoad[]): Figure[] {
  const cpu = perProcess(results, ({ cpuUs, bytes }, process) => (cpuUs[process] ?? 0) / (bytes / 1e6));
  const peaks = perProcess(results, ({ peakMib }, process) => peakMib[process] ?? Number.NaN);
  return [
    { name: "throughput", unit: "MB/s", value: medianOf(results, mbPerSecond) },
    ...cpu.map(({ process, value }) => ({ name: "CPU a MB", unit: "us", process, value })),
    ...peaks
      .filter(({ value }) => !Number.isNaN(value))
      .map(({ process, value }) => ({ name: "peak memory", unit: "MiB", process, value })),
  ];
}
