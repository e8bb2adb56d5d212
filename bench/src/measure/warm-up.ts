import type { LoadGenerator } from "../load/load-generator.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";

const CONNECTIONS = 16;

/**
 * Lets a path carry small GETs before anything is measured on it: what is measured is a service that has run for a
 * while, and not how long a process takes to compile its own code.
 *
 * @param forMs how long, in milliseconds
 */
export async function warmUp(load: LoadGenerator, origin: Origin, { endpoint }: Path, forMs: number): Promise<void> {
  const target = origin.smallGet;
  await load.run({ kind: "closed loop", endpoint, target, connections: CONNECTIONS, warmUpMs: 0, measureMs: forMs });
}
