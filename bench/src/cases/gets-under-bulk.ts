import type { BenchContext, Case, Row } from "../case.ts";
import { LoadGenerator } from "../load/load-generator.ts";
import type { LoadResult } from "../load/load-job.ts";
import { interleaved } from "../measure/interleaved.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";
import { bulkJob, mbPerSecond } from "./bulk.ts";
import { failuresOf, medianOf } from "./figures.ts";

const STREAMS = 8;
/** Each round is so many times longer than another case's: a GET may take 0.1 s here, and a p99 needs a hundred. */
const LONGER = 3;

/** What one round gives. */
interface Round {
  readonly gets: LoadResult;
  readonly downloads: LoadResult;
}

/** Small GETs while downloads run on the same path. */
export const getsUnderBulk: Case = {
  name: "gets-under-bulk",
  title: `Small GETs, one at a time, while ${STREAMS} bulk downloads run on the same path (fast origin)`,
  inQuick: true,
  plotted: "p99",
  run: async (context) => {
    // A generator of its own: latencies measured in a process that also downloads would be that process's.
    const bulkLoad = await LoadGenerator.start();
    try {
      return await measureAll(context, bulkLoad);
    } finally {
      await bulkLoad.stop();
    }
  },
};

async function measureAll(context: BenchContext, bulkLoad: LoadGenerator): Promise<Row[]> {
  context.tell("gets-under-bulk");
  const origin = await context.fastOrigin();
  const paths = await context.paths(origin);
  const { rounds, roundSeconds } = context.options;
  const measureMs = roundSeconds * LONGER * 1_000;
  const measured = await interleaved(paths, rounds, (path) =>
    measureRound(context.load, bulkLoad, origin, path, measureMs),
  );
  return [...measured].map(([path, results]) => ({
    case: getsUnderBulk.name,
    variant: `${STREAMS} downloads`,
    path: path.name,
    figures: [
      { name: "p50", unit: "ms", value: medianOf(results, ({ gets }) => gets.p50Ms) },
      { name: "p99", unit: "ms", value: medianOf(results, ({ gets }) => gets.p99Ms) },
      { name: "GETs", unit: "1/s", value: medianOf(results, ({ gets }) => gets.requests / gets.seconds) },
      { name: "downloads", unit: "MB/s", value: medianOf(results, ({ downloads }) => mbPerSecond(downloads)) },
    ],
    ...failuresOf(results.flatMap(({ gets, downloads }) => [gets, downloads])),
  }));
}

async function measureRound(
  load: LoadGenerator,
  bulkLoad: LoadGenerator,
  origin: Origin,
  path: Path,
  measureMs: number,
): Promise<Round> {
  const running = Promise.withResolvers<void>();
  // The downloads go on for longer than the GETs, which have a warm-up of their own.
  const job = bulkJob("download", origin, path, STREAMS, measureMs + 1_000);
  const downloads = bulkLoad.run(job, { onMeasuring: () => running.resolve() });
  await Promise.race([running.promise, downloads]);
  const { endpoint } = path;
  const small = { endpoint, target: origin.smallGet, connections: 1, warmUpMs: 200, measureMs };
  const gets = await load.run({ kind: "closed loop", ...small });
  return { gets, downloads: await downloads };
}
