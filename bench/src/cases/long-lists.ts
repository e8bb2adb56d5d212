import type { BenchContext, Case, Row } from "../case.ts";
import { forgetPeaks, memoryBy, memoryFigures, peakBy } from "../measure/memory-by-process.ts";
import { failuresInWords, withOwnPath } from "./own-path.ts";

/** What 40,000 pods are, about. */
const LIST_BYTES = 200_000_000;
const AT_ONCE = [1, 8];
const MEASURE_MS = 8_000;
const QUICK_MEASURE_MS = 4_000;

/** What a controller asks for when it starts. */
export const longLists: Case = {
  name: "long-lists",
  title:
    "Answers of 200 MB from the fast origin, read as fast as they come, on a path of its own: the memory of each process",
  inQuick: false,
  plotted: "throughput",
  run: async (context) => {
    const rows: Row[] = [];
    for (const atOnce of AT_ONCE) rows.push(await measureLists(context, atOnce));
    return rows;
  },
};

async function measureLists(context: BenchContext, connections: number): Promise<Row> {
  const variant = `${connections} at once`;
  context.tell(`long-lists: ${variant}`);
  const origin = await context.fastOrigin();
  return withOwnPath(context, origin, async ({ path, untilAtRest }) => {
    const { endpoint } = path;
    const before = memoryBy(path.processes);
    forgetPeaks(path.processes);
    const target = `/bulk?bytes=${LIST_BYTES}`;
    const measureMs = context.options.quick ? QUICK_MEASURE_MS : MEASURE_MS;
    const lists = await context.load.run({ kind: "download", endpoint, target, connections, warmUpMs: 0, measureMs });
    const peak = peakBy(path.processes);
    const figures = [
      { name: "throughput", unit: "MB/s", value: lists.bytes / lists.seconds / 1e6 },
      ...memoryFigures("at rest", "MiB", before),
      ...memoryFigures("peak", "MiB", peak),
    ];
    const failures = failuresInWords([lists.firstFailure, await untilAtRest()]);
    return { case: longLists.name, variant, path: path.name, figures, ...failures };
  });
}
