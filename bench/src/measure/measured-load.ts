import type { LoadGenerator } from "../load/load-generator.ts";
import type { LoadJob, LoadResult } from "../load/load-job.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";
import { cpuTimeUs, forgetPeak, memoryOf } from "./process-usage.ts";

/** A load and what it cost. */
export interface MeasuredLoad extends LoadResult {
  /** CPU time within the measured time, in microseconds, by process: the path's, the origin's, and the load's. */
  readonly cpuUs: Readonly<Record<string, number>>;
  /** The most memory that each of the path's processes had, in MiB. */
  readonly peakMib: Readonly<Record<string, number>>;
}

/** Makes a load on a path and watches the processes meanwhile. */
export async function measureLoad(
  load: LoadGenerator,
  origin: Origin,
  path: Path,
  job: LoadJob,
): Promise<MeasuredLoad> {
  const pids = { ...path.processes, ...origin.processes, load: load.pid };
  const times = (): Record<string, number> => mapValues(pids, cpuTimeUs);
  let before = times();
  let after = before;
  for (const pid of Object.values(path.processes)) forgetPeak(pid);
  const result = await load.run(job, {
    onMeasuring: () => {
      before = times();
    },
    onMeasured: () => {
      after = times();
    },
  });
  return {
    ...result,
    cpuUs: mapValues(after, (time, name) => time - (before[name] ?? 0)),
    peakMib: mapValues(path.processes, (pid) => memoryOf(pid).peak),
  };
}

function mapValues<T, U>(of: Readonly<Record<string, T>>, change: (value: T, name: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(of).map(([name, value]) => [name, change(value, name)]));
}
