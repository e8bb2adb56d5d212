import type { LoadResult } from "./load-job.ts";
import { percentile } from "./percentile.ts";

/** Most latencies that are kept: 8 MiB. */
const MAX_LATENCIES = 1 << 20;

/** Counts what happens while it is measured. */
export class Tally {
  /** Whether what happens counts. */
  isOn = false;
  bytes = 0;
  failures = 0;
  /** How long was measured, in milliseconds. */
  elapsedMs = 0;
  firstFailure: string | undefined;
  readonly #latenciesMs = new Float64Array(MAX_LATENCIES);
  #requests = 0;
  #beganMs = 0;

  begin(): void {
    this.isOn = true;
    this.#beganMs = performance.now();
  }

  end(): void {
    this.isOn = false;
    this.elapsedMs = performance.now() - this.#beganMs;
  }

  /** An answer has come. @param latencyMs how long it took */
  answered(latencyMs: number): void {
    if (!this.isOn) return;
    if (this.#requests < MAX_LATENCIES) this.#latenciesMs[this.#requests] = latencyMs;
    this.#requests += 1;
  }

  /** Failures count at any time. */
  failed(sentence: string): void {
    this.failures += 1;
    this.firstFailure ??= sentence;
  }

  /** @param keepLatencies whether all latencies are part of the result */
  result(keepLatencies = false): LoadResult {
    const kept = this.#latenciesMs.subarray(0, Math.min(this.#requests, MAX_LATENCIES));
    const sorted = kept.toSorted();
    return {
      seconds: this.elapsedMs / 1_000,
      requests: this.#requests,
      bytes: this.bytes,
      p50Ms: percentile(sorted, 0.5) || 0,
      p99Ms: percentile(sorted, 0.99) || 0,
      latenciesMs: keepLatencies ? [...kept] : [],
      failures: this.failures,
      ...(this.firstFailure !== undefined && { firstFailure: this.firstFailure }),
    };
  }
}
