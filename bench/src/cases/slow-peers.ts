import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext, Case, Figure, Row } from "../case.ts";
import type { LoadResult } from "../load/load-job.ts";
import { difference, forgetPeaks, memoryBy, memoryFigures, peakBy } from "../measure/memory-by-process.ts";
import { cpuTimeUs } from "../measure/process-usage.ts";
import type { Origin } from "../origin/origin.ts";
import { get } from "../path/answers.ts";
import type { Path } from "../path/path.ts";
import { exchangesOf, failuresInWords, type OwnPath, withOwnPath } from "./own-path.ts";
import { crowds, type OpenCrowd } from "./slow-crowds.ts";

const GETS_PER_SECOND = 50;
/** How long GETs are measured before the peers come, and beside them, in seconds. */
const ALONE_SECONDS = 5;
const BESIDE_SECONDS = 60;
const QUICK_BESIDE_SECONDS = 10;
/** Windows and queues are full when for so long, in milliseconds, no process of the path has had more to do than this. */
const STILL_MS = 2_000;
const STILL_CPU_US = 100_000;
const FILL_MS = 30_000;
/** How long the peers have been gone when what is left of them is counted, in milliseconds. */
const GONE_MS = 3_000;
const KIB_PER_MIB = 1024;
const BYTES_PER_MIB = 1024 * 1024;

/** Whoever does not read stalls himself alone. */
export const slowPeers: Case = {
  name: "slow-peers",
  title:
    "Peers that do not read, and many watches: the memory of each process, and small GETs at 50 a second " +
    "beside them. A path of its own for each; “grown” counts from rest, “grown further” from when all windows were full",
  inQuick: false,
  plotted: "ratio of GET p50",
  run: async (context) => {
    const rows: Row[] = [];
    for (const [variant, crowd] of Object.entries(crowds)) {
      context.tell(`slow-peers: ${variant}`);
      const origin = crowd.origin === "kube-apiserver" ? await context.apiserver() : await context.fastOrigin();
      const open = (path: Path) => crowd.open(path.endpoint);
      rows.push(await withOwnPath(context, origin, (own) => measureBeside(context, origin, own, variant, open)));
    }
    return rows;
  },
};

async function measureBeside(
  context: BenchContext,
  origin: Origin,
  { path, untilAtRest }: OwnPath,
  variant: string,
  open: (path: Path) => Promise<OpenCrowd>,
): Promise<Row> {
  const alone = await steadyGets(context, origin, path, ALONE_SECONDS);
  forgetPeaks(path.processes);
  const before = memoryBy(path.processes);
  const crowd = await open(path);
  await untilStill(path);
  const full = memoryBy(path.processes);
  const seconds = context.options.quick ? QUICK_BESIDE_SECONDS : BESIDE_SECONDS;
  const beside = await steadyGets(context, origin, path, seconds);
  const after = memoryBy(path.processes);
  const figures: Figure[] = [
    { name: "GET p50 alone", unit: "ms", value: alone.p50Ms },
    { name: "GET p50 beside", unit: "ms", value: beside.p50Ms },
    { name: "ratio of GET p50", unit: "", value: beside.p50Ms / alone.p50Ms },
    { name: "GET p99 beside", unit: "ms", value: beside.p99Ms },
    ...(crowd.sends ? [{ name: "taken from the client", unit: "MiB", value: crowd.bytes / BYTES_PER_MIB }] : []),
    ...memoryFigures("at rest", "MiB", before),
    ...memoryFigures("grown", "MiB", difference(after, before)),
    ...memoryFigures("grown further", "MiB", difference(after, full)),
    ...(crowd.size > 1 ? memoryFigures("for each", "KiB", difference(after, before, KIB_PER_MIB / crowd.size)) : []),
    ...memoryFigures("peak", "MiB", peakBy(path.processes)),
  ];
  const lost = crowd.failures;
  crowd.stop();
  await sleep(GONE_MS);
  figures.push({ name: "exchanges left when all have gone", unit: "", value: await exchangesOf(path) });
  if (origin.name === "fast origin") await get(origin.endpoint, "/flow");
  const failed = Array.from({ length: alone.failures + beside.failures }, () => beside.firstFailure);
  const unrest = await untilAtRest();
  return { case: slowPeers.name, variant, path: path.name, figures, ...failuresInWords([...lost, ...failed, unrest]) };
}

function steadyGets(
  { load }: BenchContext,
  { smallGet }: Origin,
  { endpoint }: Path,
  seconds: number,
): Promise<LoadResult> {
  const measureMs = seconds * 1_000;
  const rate = { perSecond: GETS_PER_SECOND, warmUpMs: 200, measureMs };
  return load.run({ kind: "open loop", endpoint, target: smallGet, ...rate });
}

/** Waits until the path has no more to do, or a while. */
async function untilStill({ processes }: Path): Promise<void> {
  const untilMs = performance.now() + FILL_MS;
  const used = () => Object.values(processes).map(cpuTimeUs);
  for (let last = used(), isStill = false; !isStill && performance.now() < untilMs; ) {
    await sleep(STILL_MS);
    const now = used();
    isStill = now.every((us, i) => us - (last[i] ?? 0) < STILL_CPU_US);
    last = now;
  }
}
