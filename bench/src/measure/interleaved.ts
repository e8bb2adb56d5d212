import type { Path } from "../path/path.ts";

/**
 * Measures all paths in turn, round by round: direct, A, B, direct, A, B. What the machine does meanwhile, which
 * drifts over minutes, then meets all of them alike.
 *
 * @returns what was measured on each path, in the order of the rounds
 */
export async function interleaved<T>(
  paths: readonly Path[],
  rounds: number,
  measure: (path: Path) => Promise<T>,
): Promise<ReadonlyMap<Path, readonly T[]>> {
  const measured = new Map<Path, T[]>(paths.map((path) => [path, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [path, results] of measured) results.push(await measure(path));
  }
  return measured;
}
