import type { Figure, Row } from "../case.ts";
import { median } from "../load/percentile.ts";

/** One row for all runs: each figure is the median over the runs, failures are added up. */
export function mergeRuns(runs: readonly (readonly Row[])[]): Row[] {
  const groups = Map.groupBy(runs.flat(), (row) => JSON.stringify([row.case, row.variant, row.path]));
  return [...groups.values()].flatMap((rows) => {
    const [first] = rows;
    return first ? [merged(first, rows)] : [];
  });
}

function merged(first: Row, rows: readonly Row[]): Row {
  const ratios = rows.flatMap(({ ratioToDirect }) => ratioToDirect ?? []);
  const failed = rows.flatMap(({ failures }) => failures ?? []);
  const count = failed.reduce((sum, failures) => sum + failures.count, 0);
  return {
    case: first.case,
    variant: first.variant,
    path: first.path,
    figures: mergeFigures(rows.flatMap(({ figures }) => figures)),
    ...(ratios.length > 0 && { ratioToDirect: median(ratios) }),
    ...(failed[0] && { failures: { count, first: failed[0].first } }),
  };
}

function mergeFigures(figures: readonly Figure[]): Figure[] {
  const groups = Map.groupBy(figures, ({ name, process }) => JSON.stringify([name, process]));
  return [...groups.values()].flatMap((same) => {
    const [first] = same;
    return first ? [{ ...first, value: median(same.map(({ value }) => value)) }] : [];
  });
}
