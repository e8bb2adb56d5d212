import { mkdtemp } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { BenchOptions } from "../options.ts";
import type { Origin } from "../origin/origin.ts";
import { startChisel } from "./chisel.ts";
import { direct } from "./direct.ts";
import { startFairlead } from "./fairlead.ts";
import { startFrp } from "./frp.ts";
import { startKonnectivity } from "./konnectivity.ts";
import { startKubectlProxy } from "./kubectl-proxy.ts";
import type { Path } from "./path.ts";
import { startRemotedialer } from "./remotedialer.ts";

/** @param folder of the path's own */
type Start = (origin: Origin, folder: string) => Promise<Path>;

/** What the start of paths needs of the bench. */
export interface PathsContext {
  readonly options: BenchOptions;
  readonly folder: string;
  tell(sentence: string): void;
  /** Tells that a path which was asked for cannot be had. */
  miss(name: string, reason: string): void;
}

/** What beside direct can be measured: the peers that need a program only where it was given. */
function starters({ options, folder }: PathsContext): ReadonlyMap<string, Start> {
  const { chisel, frp, konnectivity } = options.peer;
  const all: [string, Start | undefined][] = [
    ["fairlead", (origin) => startFairlead(origin, { folder, profileDir: options.profile })],
    ["kubectl proxy", startKubectlProxy],
    ["remotedialer", startRemotedialer],
    ["chisel", chisel === undefined ? undefined : (origin, own) => startChisel(origin, resolve(chisel), own)],
    ["frp", frp === undefined ? undefined : (origin, own) => startFrp(origin, resolve(frp), own)],
    [
      "konnectivity",
      konnectivity === undefined ? undefined : (origin, own) => startKonnectivity(origin, resolve(konnectivity), own),
    ],
  ];
  return new Map(all.flatMap(([name, start]) => (start ? [[name, start]] : [])));
}

/** Starts all paths to an origin that are asked for. What cannot be had is told, loudly, and left out. */
export async function startPaths(origin: Origin, context: PathsContext): Promise<readonly Path[]> {
  const paths: Path[] = [direct(origin)];
  for (const [name, start] of starters(context)) {
    if (!isWanted(name, context.options)) continue;
    context.tell(`starting ${name} to the ${origin.name}`);
    try {
      paths.push(await start(origin, await mkdtemp(join(context.folder, "path-"))));
    } catch (error) {
      if (name === "fairlead") throw error;
      context.miss(name, error instanceof Error ? error.message : String(error));
    }
  }
  return paths;
}

/** A quick run leaves out what was not asked for by name and takes longer than it tells. */
function isWanted(name: string, { path, quick }: BenchOptions): boolean {
  if (path.length > 0) return path.includes(name);
  return !(quick && name === "remotedialer");
}
