import type { BenchContext } from "../case.ts";
import type { LoadJob, LoadResult } from "../load/load-job.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";
import { forgetPeaks, peakBy } from "./memory-by-process.ts";
import { cpuTimeUs, machineTimeUs } from "./process-usage.ts";

/** A load and what it cost. */
export interface MeasuredLoad extends LoadResult {
  /** CPU time within the measured time, in microseconds, by process: the path's, the origin's, and the load's. */
  readonly cpuUs: Readonly<Record<string, number>>;
  /** The most memory that each of the path's processes had, in MiB. */
  readonly peakMib: Readonly<Record<string, number>>;
}

/** How much of a core others may use before a measurement counts as disturbed. The bench itself and the idle paths are others too. */
const OTHERS_CORES = 0.25;

/** Makes a load on a path and watches the processes meanwhile. It tells when others use the machine too. */
export async function measureLoad(
  { load, disturbed }: Pick<BenchContext, "load" | "disturbed">,
  origin: Origin,
  path: Path,
  job: LoadJob,
): Promise<MeasuredLoad> {
  const pids = { ...path.processes, ...origin.processes, load: load.pid };
  const times = () => ({ machine: machineTimeUs(), by: mapValues(pids, cpuTimeUs) });
  let before = times();
  let after = before;
  forgetPeaks(path.processes);
  const result = await load.run(job, {
    onMeasuring: () => {
      before = times();
    },
    onMeasured: () => {
      after = times();
    },
  });
  const cpuUs = mapValues(after.by, (time, name) => time - (before.by[name] ?? 0));
  const ownUs = Object.values(cpuUs).reduce((sum, us) => sum + us, 0);
  const othersCores = (after.machine - before.machine - ownUs) / (result.seconds * 1e6);
  if (othersCores > OTHERS_CORES) disturbed(`${path.name}: others used ${othersCores.toFixed(1)} cores meanwhile`);
  return {
    ...result,
    cpuUs,
    peakMib: Object.fromEntries(peakBy(path.processes)),
  };
}

function mapValues<T, U>(of: Readonly<Record<string, T>>, change: (value: T, name: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(of).map(([name, value]) => [name, change(value, name)]));
}
