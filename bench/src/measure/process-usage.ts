import { readFileSync, writeFileSync } from "node:fs";

/** One tick of the times in /proc, in microseconds: USER_HZ is 100 on every Linux that node runs on. */
const TICK_US = 10_000;
const KIB_PER_MIB = 1024;

/** CPU time that a process has used so far, its threads included, in microseconds; 0 if it is gone. */
export function cpuTimeUs(pid: number): number {
  // The name, in parentheses, may have spaces; utime and stime are the fields 14 and 15 (proc(5)).
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_US;
}

/** CPU time that the whole machine was busy so far, or taken from it by its host, in microseconds (proc_stat(5)). */
export function machineTimeUs(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    /^cpu +(.*)/.exec(read("/proc/stat"))?.[1]?.split(" ").map(Number) ?? [];
  return (user + nice + system + irq + softirq + steal) * TICK_US;
}

/** Memory of a process, in MiB; 0 if it is gone. */
export interface MemoryMib {
  /** Resident now. */
  readonly now: number;
  /** The most that was resident since {@link forgetPeak}. */
  readonly peak: number;
}

export function memoryOf(pid: number): MemoryMib {
  const status = read(`/proc/${pid}/status`);
  const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  return { now: kib("VmRSS") / KIB_PER_MIB, peak: kib("VmHWM") / KIB_PER_MIB };
}

/** Lets the peak count from now on (proc_pid_clear_refs(5)). Where it is not allowed, the peak is that of the whole life. */
export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
  } catch {}
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
