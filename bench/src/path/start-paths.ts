import type { Bench } from "../bench.ts";
import type { Origin } from "../origin/origin.ts";
import { direct } from "./direct.ts";
import { startFairlead } from "./fairlead.ts";
import type { Path } from "./path.ts";

type Start = (origin: Origin, bench: Bench) => Promise<Path>;

/** What beside direct can be measured, by name. */
const STARTERS: Readonly<Record<string, Start>> = {
  fairlead: (origin, { folder, options }) => startFairlead(origin, { folder, profileDir: options.profile }),
};

/** Starts all paths to an origin that are asked for. What cannot be had is told, loudly, and left out. */
export async function startPaths(origin: Origin, bench: Bench): Promise<readonly Path[]> {
  const paths: Path[] = [direct(origin)];
  for (const [name, start] of Object.entries(STARTERS)) {
    if (!isWanted(name, bench)) continue;
    bench.tell(`starting ${name} to the ${origin.name}`);
    paths.push(await start(origin, bench));
  }
  return paths;
}

function isWanted(name: string, { options }: Bench): boolean {
  return options.path.length === 0 || options.path.includes(name);
}
