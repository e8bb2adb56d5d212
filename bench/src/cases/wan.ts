import type { BenchContext, Case, Row } from "../case.ts";
import { interleaved } from "../measure/interleaved.ts";
import { type MeasuredLoad, measureLoad } from "../measure/measured-load.ts";
import { warmUp } from "../measure/warm-up.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";
import { startPaths } from "../path/start-paths.ts";
import { RATIO } from "../report/plot.ts";
import { Wan } from "../wan/wan.ts";
import { bulkFiguresOf, bulkJob, type Direction, mbPerSecond } from "./bulk.ts";
import { failuresOf, medianOf } from "./figures.ts";

/** Windows that grow need some round trips. */
const WARM_UP_MS = 2_000;
const QUICK_WARM_UP_MS = 700;

/** What the case keeps for its measurements. */
interface Scene {
  readonly context: BenchContext;
  readonly origin: Origin;
  readonly wan: Wan;
  readonly paths: readonly Path[];
}

/** The same as over a loopback, over a wide-area network. */
export const wan: Case = {
  name: "wan",
  title:
    "Bulk transfers and small GETs over a long round trip: half of it between person and server, half between server and cluster, all of it where a path has one link. Direct is plain TLS over the same delay. Of a small GET the round trip is taken off",
  inQuick: true,
  plotted: RATIO,
  run: async (context) => {
    const origin = await context.fastOrigin();
    const delay = await Wan.start();
    const paths = await startPaths(origin, context, delay);
    try {
      return await measureAll({ context, origin, wan: delay, paths });
    } finally {
      for (const path of paths) await context.stalls.note(path);
      await Promise.all(paths.map((path) => path.stop()));
      await delay.stop();
    }
  },
};

async function measureAll(scene: Scene): Promise<Row[]> {
  const { context, origin, paths, wan: delay } = scene;
  const { quick } = context.options;
  for (const path of paths) await warmUp(context.load, origin, path, quick ? 500 : 4_000);
  for (const path of paths) await context.stalls.skip(path);
  const rows: Row[] = [];
  for (const roundTripMs of quick ? [50] : [50, 100]) {
    await delay.setRoundTrip(roundTripMs);
    for (const direction of ["download", "upload"] as const) {
      for (const streams of quick ? [1] : [1, 4]) {
        rows.push(...(await measureBulk(scene, roundTripMs, direction, streams)));
      }
    }
    rows.push(...(await measureGets(scene, roundTripMs)));
  }
  return rows;
}

async function measureBulk(
  scene: Scene,
  roundTripMs: number,
  direction: Direction,
  streams: number,
): Promise<readonly Row[]> {
  const variant = `${roundTripMs} ms, ${direction}, ${streams} ${streams === 1 ? "stream" : "streams"}`;
  const { quick, roundSeconds } = scene.context.options;
  const warmUpMs = quick ? QUICK_WARM_UP_MS : WARM_UP_MS;
  const measured = await measureLoads(scene, variant, (path) =>
    bulkJob(direction, scene.origin, path, streams, roundSeconds * 1_000, warmUpMs),
  );
  const [straight = []] = measured.values();
  return [...measured].map(([path, results]) => ({
    case: wan.name,
    variant,
    path: path.name,
    figures: bulkFiguresOf(results),
    ratioToDirect: medianOf(results, mbPerSecond) / medianOf(straight, mbPerSecond),
    ...failuresOf(results),
  }));
}

/** One GET at a time: whatever it takes beyond the round trip is the path's. */
async function measureGets(scene: Scene, roundTripMs: number): Promise<readonly Row[]> {
  const variant = `${roundTripMs} ms, small GET, 1 at once`;
  const { roundSeconds } = scene.context.options;
  const measured = await measureLoads(scene, variant, ({ endpoint }) => ({
    kind: "closed loop",
    endpoint,
    target: scene.origin.smallGet,
    connections: 1,
    warmUpMs: 500,
    measureMs: roundSeconds * 1_000,
  }));
  return [...measured].map(([path, results]) => ({
    case: wan.name,
    variant,
    path: path.name,
    figures: [
      { name: "p50 beyond the round trip", unit: "ms", value: medianOf(results, ({ p50Ms }) => p50Ms) - roundTripMs },
      { name: "p99 beyond the round trip", unit: "ms", value: medianOf(results, ({ p99Ms }) => p99Ms) - roundTripMs },
      { name: "throughput", unit: "1/s", value: medianOf(results, ({ requests, seconds }) => requests / seconds) },
    ],
    ...failuresOf(results),
  }));
}

/** @param job what is done on each path */
function measureLoads(
  { context, origin, paths, wan: delay }: Scene,
  variant: string,
  job: (path: Path) => Parameters<typeof measureLoad>[3],
): Promise<ReadonlyMap<Path, readonly MeasuredLoad[]>> {
  context.tell(`wan: ${variant}`);
  return interleaved(paths, context.options.rounds, (path) => {
    const watched = { ...path, processes: { ...path.processes, "the delay": delay.pid } };
    return measureLoad(context, origin, watched, job(path));
  });
}
