import { mkdtemp } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { BenchOptions } from "../options.ts";
import type { Origin } from "../origin/origin.ts";
import type { Wan } from "../wan/wan.ts";
import { startChisel } from "./chisel.ts";
import type { Detour } from "./detour.ts";
import { direct } from "./direct.ts";
import { startFairlead } from "./fairlead.ts";
import { startFairleadDirect } from "./fairlead-direct.ts";
import { startFrp } from "./frp.ts";
import { startKonnectivity } from "./konnectivity.ts";
import { startKubectlProxy } from "./kubectl-proxy.ts";
import { frontOverWan, halfDetour, originOverWan, relayOverWan } from "./over-wan.ts";
import type { Path } from "./path.ts";
import { startRemotedialer } from "./remotedialer.ts";

/** @param folder of the path's own @param wan what its links lead over; undefined for none */
type Start = (origin: Origin, folder: string, wan: Wan | undefined) => Promise<Path>;

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
  const { profile: profileDir } = options;
  const all: [string, Start | undefined][] = [
    [
      "fairlead",
      (origin, _own, wan) => startFairlead(origin, { folder, profileDir }, wan === undefined ? {} : relayOverWan(wan)),
    ],
    [
      "fairlead, direct endpoint",
      async (origin, _own, wan) => {
        if (wan !== undefined) throw new Error("the relay's own address does not lead over it");
        return startFairleadDirect(origin, { folder, profileDir });
      },
    ],
    [
      "kubectl proxy",
      async (origin, own, wan) =>
        startKubectlProxy(wan === undefined ? origin : await originOverWan(origin, wan, own), own),
    ],
    ["remotedialer", ofTwoLinks(startRemotedialer)],
    ["chisel", ofGiven(startChisel, options.peer.chisel)],
    ["frp", ofGiven(startFrp, options.peer.frp)],
    ["konnectivity", ofGiven(startKonnectivity, options.peer.konnectivity)],
  ];
  return new Map(all.flatMap(([name, start]) => (start ? [[name, start]] : [])));
}

/** A tunnel with a link of its own and a front. */
function ofTwoLinks(start: (origin: Origin, folder: string, link?: Detour) => Promise<Path>): Start {
  return async (origin, folder, wan) =>
    wan === undefined ? start(origin, folder) : frontOverWan(await start(origin, folder, halfDetour(wan)), wan);
}

/** The same, whose programs have to be given. */
function ofGiven(
  start: (origin: Origin, programs: string, folder: string, link?: Detour) => Promise<Path>,
  programs: string | undefined,
): Start | undefined {
  if (programs === undefined) return undefined;
  return ofTwoLinks((origin, folder, link) => start(origin, resolve(programs), folder, link));
}

/**
 * Starts all paths to an origin that are asked for. What cannot be had is told, loudly, and left out.
 *
 * @param wan what all links lead over; direct's too
 */
export async function startPaths(origin: Origin, context: PathsContext, wan?: Wan): Promise<readonly Path[]> {
  const paths: Path[] = [direct(wan === undefined ? origin : await originOverWan(origin, wan, context.folder))];
  for (const [name, start] of starters(context)) {
    if (!isWanted(name, context.options)) continue;
    context.tell(`starting ${name} to the ${origin.name}`);
    try {
      paths.push(await start(origin, await mkdtemp(join(context.folder, "path-")), wan));
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
  return !(quick && (name === "remotedialer" || name === "fairlead, direct endpoint"));
}
