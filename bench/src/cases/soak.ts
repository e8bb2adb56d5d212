import type { BenchContext, Case, Figure, Row } from "../case.ts";
import { percentile } from "../load/percentile.ts";
import { memoryFigures, peakBy } from "../measure/memory-by-process.ts";
import { type MemorySample, MemoryWatch, medianOfMinute, slopeKibPerMinute } from "../measure/memory-watch.ts";
import type { Origin } from "../origin/origin.ts";
import { failuresInWords, type OwnPath, withOwnPath } from "./own-path.ts";
import { type Mix, type MixOutcome, startApiserverMix, startFastOriginMix } from "./soak-mix.ts";

/** How long the mix runs before memory counts, in seconds; a short run takes a quarter of itself. */
const WARM_UP_SECONDS = 60;
const SAMPLE_MS = 5_000;

/** Memory over a long time. */
export const soak: Case = {
  name: "soak",
  title:
    "Memory over a long mixed load, on both origins at once: 50 GETs and a list a second on each; on the kube-apiserver " +
    "1,000 watches a minute, begun and cancelled, and an exec; on the fast origin a download read at 100 KB/s, an " +
    "upload fed at 100 KB/s, and a download that is never read",
  inQuick: false,
  plotted: "last minute",
  run: async (context) => {
    const [apiserver, fast] = [await context.apiserver(), await context.fastOrigin()];
    return withOwnPath(context, apiserver, (onApiserver) =>
      withOwnPath(context, fast, (onFast) =>
        Promise.all([
          runMix(context, apiserver, onApiserver, startApiserverMix),
          runMix(context, fast, onFast, startFastOriginMix),
        ]),
      ),
    );
  },
};

/** @param start starts the load of an origin, for so many seconds */
async function runMix(
  { options, tell }: BenchContext,
  origin: Origin,
  { path, untilAtRest }: OwnPath,
  start: (origin: Origin, own: OwnPath["path"], seconds: number) => Promise<Mix>,
): Promise<Row> {
  const seconds = options.soakSeconds;
  const warmUpSeconds = Math.min(WARM_UP_SECONDS, seconds / 4);
  tell(`soak: ${origin.name}, ${seconds} s after ${warmUpSeconds} s of warm-up`);
  const mix = await start(origin, path, warmUpSeconds + seconds);
  await new Promise((resolve) => setTimeout(resolve, warmUpSeconds * 1_000));
  const watch = new MemoryWatch(path.processes, SAMPLE_MS);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const samples = watch.end();
  const peaks = memoryFigures("peak", "MiB", peakBy(path.processes));
  const outcome = await mix.end();
  const beganMs = performance.now();
  const unrest = await untilAtRest();
  const restSeconds = (performance.now() - beganMs) / 1_000;
  return {
    case: soak.name,
    variant: origin.name,
    path: path.name,
    figures: [
      ...sampleFigures(samples),
      ...peaks,
      ...loadFigures(outcome),
      { name: "counts back after", unit: "s", value: restSeconds },
    ],
    memory: Object.fromEntries(samples),
    ...failuresInWords([...outcome.failures, unrest]),
  };
}

function sampleFigures(samples: ReadonlyMap<string, readonly MemorySample[]>): Figure[] {
  const each = (name: string, unit: string, figure: (of: readonly MemorySample[]) => number): Figure[] =>
    [...samples].map(([process, of]) => ({ name, unit, process, value: figure(of) }));
  return [
    ...each("first minute", "MiB", (of) => medianOfMinute(of, "first")),
    ...each("last minute", "MiB", (of) => medianOfMinute(of, "last")),
    ...each("slope", "KiB/min", slopeKibPerMinute),
  ];
}

function loadFigures({ gets, done }: MixOutcome): Figure[] {
  const sorted = Float64Array.from(gets.latenciesMs).sort();
  return [
    { name: "GET p50", unit: "ms", value: percentile(sorted, 0.5) },
    { name: "GET p99", unit: "ms", value: percentile(sorted, 0.99) },
    { name: "longest GET", unit: "ms", value: percentile(sorted, 1) },
    ...Object.entries(done).map(([name, value]) => ({ name, unit: "", value })),
  ];
}
