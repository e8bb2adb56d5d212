import type { Figure } from "../case.ts";
import { forgetPeak, memoryOf } from "./process-usage.ts";

type Pids = Readonly<Record<string, number>>;

/** A figure of each process, most often MiB of memory. */
export type ByProcess = readonly (readonly [process: string, value: number])[];

/** Resident memory now, in MiB. */
export function memoryBy(pids: Pids): ByProcess {
  return Object.entries(pids).map(([process, pid]) => [process, memoryOf(pid).now]);
}

/** The most that was resident since {@link forgetPeaks}, in MiB. */
export function peakBy(pids: Pids): ByProcess {
  return Object.entries(pids).map(([process, pid]) => [process, memoryOf(pid).peak]);
}

/** Lets peaks count from now on. */
export function forgetPeaks(pids: Pids): void {
  for (const pid of Object.values(pids)) forgetPeak(pid);
}

/** How much more there is after than before. @param factor what the differences are multiplied by */
export function difference(after: ByProcess, before: ByProcess, factor = 1): ByProcess {
  const then = new Map(before);
  return after.map(([process, value]) => [process, (value - (then.get(process) ?? Number.NaN)) * factor]);
}

/** The same as figures of a row. */
export function memoryFigures(name: string, unit: string, values: ByProcess): Figure[] {
  return values.map(([process, value]) => ({ name, unit, process, value }));
}
