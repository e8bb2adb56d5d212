import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { BenchContext, Case, Figure, Row } from "../case.ts";
import type { LoadJob } from "../load/load-job.ts";
import { interleaved } from "../measure/interleaved.ts";
import { measureLoad } from "../measure/measured-load.ts";
import type { Origin } from "../origin/origin.ts";
import { direct } from "../path/direct.ts";
import { startFairlead } from "../path/fairlead.ts";
import type { Path } from "../path/path.ts";
import { RATIO } from "../report/plot.ts";
import { startDelay } from "../wan/delay.ts";
import { bulkJob, mbPerSecond } from "./bulk.ts";
import { failuresOf, medianOf } from "./figures.ts";

/** Windows have to grow: by doubling each 100 ms, TCP's own too. */
const WARM_UP_MS = 3_000;

/** The same over a long way, against plain TLS over the same delay. */
export const wan: Case = {
  name: "wan",
  title:
    "Over a delay made in user space: direct is plain TLS through all of it; ours has half of it between client proxy and relay, and half between relay and agent (fast origin)",
  inQuick: false,
  plotted: RATIO,
  run: async (context) => {
    const rows: Row[] = [];
    for (const roundTripMs of [50, 100]) rows.push(...(await measureOver(context, roundTripMs)));
    return rows;
  },
};

async function measureOver(context: BenchContext, roundTripMs: number): Promise<Row[]> {
  const origin = await context.fastOrigin();
  const paths = [await delayedDirect(origin, roundTripMs), await delayedFairlead(context, origin, roundTripMs)];
  try {
    const rows: Row[] = [];
    rows.push(...(await measureGets(context, origin, paths, roundTripMs)));
    for (const direction of ["download", "upload"] as const) {
      for (const streams of [1, 4]) {
        const variant = `${roundTripMs} ms, ${direction}, ${streams} ${streams === 1 ? "stream" : "streams"}`;
        const job = (path: Path, measureMs: number): LoadJob => ({
          ...bulkJob(direction, origin, path, streams, measureMs),
          warmUpMs: WARM_UP_MS,
        });
        rows.push(...(await measureBulk(context, origin, paths, variant, job)));
      }
    }
    return rows;
  } finally {
    for (const path of paths) await path.stop();
  }
}

async function measureBulk(
  context: BenchContext,
  origin: Origin,
  paths: readonly Path[],
  variant: string,
  job: (path: Path, measureMs: number) => LoadJob,
): Promise<Row[]> {
  context.tell(`wan: ${variant}`);
  const { rounds, roundSeconds } = context.options;
  const measured = await interleaved(paths, rounds, (path) =>
    measureLoad(context, origin, path, job(path, roundSeconds * 1_000)),
  );
  const [straight = []] = measured.values();
  return [...measured].map(([path, results]) => ({
    case: wan.name,
    variant,
    path: path.name,
    ratioToDirect: medianOf(results, mbPerSecond) / medianOf(straight, mbPerSecond),
    figures: [{ name: "throughput", unit: "MB/s", value: medianOf(results, mbPerSecond) }],
    ...failuresOf(results),
  }));
}

async function measureGets(
  context: BenchContext,
  origin: Origin,
  paths: readonly Path[],
  roundTripMs: number,
): Promise<Row[]> {
  const variant = `${roundTripMs} ms, GETs, 1 at once`;
  context.tell(`wan: ${variant}`);
  const { rounds, roundSeconds } = context.options;
  const measured = await interleaved(paths, rounds, ({ endpoint }) =>
    context.load.run({
      kind: "closed loop",
      endpoint,
      target: origin.smallGet,
      connections: 1,
      warmUpMs: 1_000,
      measureMs: roundSeconds * 1_000,
    }),
  );
  return [...measured].map(([path, results]) => {
    const p50 = medianOf(results, ({ p50Ms }) => p50Ms);
    const figures: Figure[] = [
      { name: "p50", unit: "ms", value: p50 },
      { name: "p50 beyond the round trip", unit: "ms", value: p50 - roundTripMs },
      { name: "p99", unit: "ms", value: medianOf(results, ({ p99Ms }) => p99Ms) },
    ];
    return { case: wan.name, variant, path: path.name, figures, ...failuresOf(results) };
  });
}

async function delayedDirect(origin: Origin, roundTripMs: number): Promise<Path> {
  const delay = await startDelay({ port: origin.endpoint.port, roundTripMs });
  const { endpoint, ...path } = direct(origin);
  return { ...path, endpoint: { ...endpoint, port: delay.port }, stop: delay.stop };
}

async function delayedFairlead(context: BenchContext, origin: Origin, roundTripMs: number): Promise<Path> {
  const delays: { stop(): Promise<void> }[] = [];
  const folder = await mkdtemp(join(context.folder, "wan-"));
  const path = await startFairlead(
    origin,
    { folder, profileDir: undefined },
    {
      reachRelayBy: async (url) => {
        const delay = await startDelay({ port: Number(new URL(url).port), roundTripMs: roundTripMs / 2 });
        delays.push(delay);
        return `https://127.0.0.1:${delay.port}`;
      },
    },
  );
  const stop = async (): Promise<void> => {
    await path.stop();
    for (const delay of delays) await delay.stop();
  };
  return { ...path, stop };
}
