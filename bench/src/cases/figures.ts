import type { Row } from "../case.ts";
import type { LoadResult } from "../load/load-job.ts";
import { median } from "../load/percentile.ts";
import type { MeasuredLoad } from "../measure/measured-load.ts";

/** The median over rounds of a figure. */
export function medianOf<T>(results: readonly T[], figure: (result: T) => number): number {
  return median(results.map(figure));
}

/** The medians over rounds of a figure that each process has. */
export function perProcess(
  results: readonly MeasuredLoad[],
  figure: (result: MeasuredLoad, process: string) => number,
): { process: string; value: number }[] {
  const processes = Object.keys(results[0]?.cpuUs ?? {});
  return processes.map((process) => ({ process, value: medianOf(results, (result) => figure(result, process)) }));
}

/** What went wrong in all rounds; nothing if nothing did. */
export function failuresOf(results: readonly Pick<LoadResult, "failures" | "firstFailure">[]): Pick<Row, "failures"> {
  const count = results.reduce((sum, { failures }) => sum + failures, 0);
  if (count === 0) return {};
  const first = results.find(({ firstFailure }) => firstFailure !== undefined)?.firstFailure ?? "";
  return { failures: { count, first } };
}
