import { type Hop, type HopTiming, hopName } from "@fairlead/protocol";

/** A request that carries this header (any value) gets `Server-Timing` back. */
export const TIMINGS_HEADER = "fairlead-timings";

/**
 * The hops' timings as a `Server-Timing` header (W3C Server Timing), in node's raw form. Each hop's figure has in it
 * those of the hops behind it.
 *
 * @param timings what the response's head carries, the farthest hop first
 * @param entry at which hop the request came in, and when, from `performance.now()`; that hop's own figure goes before
 *   what it measured of its way inside
 * @returns name and value, or nothing if no timings were asked for
 */
export function serverTiming(
  timings: readonly HopTiming[],
  { hop: ownHop, startedAt }: { hop: Hop; startedAt: number },
): string[] {
  if (timings.length === 0) return [];
  const own = performance.now() - startedAt;
  const others = timings.filter(({ hop }) => hop !== ownHop);
  const entries = others.map(({ hop, durationUs }) => entry(hopName(hop), durationUs / 1000)).reverse();
  return ["Server-Timing", [entry(hopName(ownHop), own), ...entries].join(", ")];
}

function entry(hop: string, milliseconds: number): string {
  return `${hop.replaceAll(" ", "-")};dur=${milliseconds.toFixed(2)}`;
}
