import { median } from "../load/percentile.ts";
import { forgetPeaks } from "./memory-by-process.ts";
import { memoryOf } from "./process-usage.ts";

const KIB_PER_MIB = 1024;
const SECONDS_PER_MINUTE = 60;

/** How much memory a process had at a time. */
export interface MemorySample {
  /** Since the watch began, in seconds. */
  readonly atSeconds: number;
  /** Resident memory, in MiB. */
  readonly mib: number;
}

/** Looks at the resident memory of processes at a fixed interval, until {@link MemoryWatch.end}. */
export class MemoryWatch {
  readonly #pids: Readonly<Record<string, number>>;
  readonly #samples = new Map<string, MemorySample[]>();
  readonly #beganMs = performance.now();
  readonly #timer: NodeJS.Timeout;

  /** @param pids by process name @param intervalMs between two looks, in milliseconds */
  constructor(pids: Readonly<Record<string, number>>, intervalMs: number) {
    this.#pids = pids;
    forgetPeaks(pids);
    this.#look();
    this.#timer = setInterval(() => this.#look(), intervalMs);
  }

  /** Looks a last time. @returns what was seen, by process */
  end(): ReadonlyMap<string, readonly MemorySample[]> {
    clearInterval(this.#timer);
    this.#look();
    return this.#samples;
  }

  #look(): void {
    const atSeconds = (performance.now() - this.#beganMs) / 1_000;
    for (const [process, pid] of Object.entries(this.#pids)) {
      const samples = this.#samples.get(process) ?? [];
      samples.push({ atSeconds, mib: memoryOf(pid).now });
      this.#samples.set(process, samples);
    }
  }
}

/** How fast memory grows, in KiB a minute: the straight line with the least squares through the samples. */
export function slopeKibPerMinute(samples: readonly MemorySample[]): number {
  const mean = (pick: (sample: MemorySample) => number): number =>
    samples.reduce((sum, sample) => sum + pick(sample), 0) / samples.length;
  const meanSeconds = mean(({ atSeconds }) => atSeconds);
  const meanMib = mean(({ mib }) => mib);
  const together = mean(({ atSeconds, mib }) => (atSeconds - meanSeconds) * (mib - meanMib));
  const spread = mean(({ atSeconds }) => (atSeconds - meanSeconds) ** 2);
  return (together / spread) * KIB_PER_MIB * SECONDS_PER_MINUTE;
}

/** The median of a minute's samples, in MiB: the minute that ends the watch, or the one that begins it. */
export function medianOfMinute(samples: readonly MemorySample[], which: "first" | "last"): number {
  const lastSecond = samples.at(-1)?.atSeconds ?? 0;
  const inMinute = ({ atSeconds }: MemorySample): boolean =>
    which === "first" ? atSeconds <= SECONDS_PER_MINUTE : atSeconds >= lastSecond - SECONDS_PER_MINUTE;
  return median(samples.filter(inMinute).map(({ mib }) => mib));
}
