import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { type ProcessName, Tunnel, type TunnelOptions } from "@fairlead/demo";
import { alice } from "@fairlead/test/support/tunnel";
import { endpointOfKubeconfig } from "../origin/endpoint-of-kubeconfig.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "./path.ts";

/** In the order of a request. */
const ORDER: readonly ProcessName[] = ["client proxy", "relay", "agent", "identity proxy"];

/** One user is all the load here: his limits are not what is measured. */
const LIMITS = {
  exchangesPerUser: 5_000,
  exchangesPerCluster: 5_000,
  newExchangesPerUserPerSecond: 1_000_000,
  newExchangesPerUserBurst: 1_000_000,
};

/** Whose names lead to clusters at the relay without a client proxy. */
export const DIRECT_DOMAIN = "clusters.test";

/** Our path, with its processes. */
export interface FairleadPath extends Path {
  readonly tunnel: Tunnel;
}

/** How our path is started. */
export interface FairleadOptions {
  /** Where each run makes a folder for keys, sockets and logs. */
  readonly folder: string;
  /** Where each process writes a CPU profile at its end; undefined for none. */
  readonly profileDir: string | undefined;
}

/** Starts our whole path to an origin, each part the real process. @param more of the tunnel's own options */
export async function startFairlead(
  origin: Origin,
  { folder, profileDir }: FairleadOptions,
  more: Partial<TunnelOptions> = {},
): Promise<FairleadPath> {
  const tunnel = await Tunnel.create({
    folder: await mkdtemp(join(folder, "tunnel-")),
    cluster: "bench",
    person: alice,
    impersonatorKubeconfig: origin.impersonatorKubeconfig,
    relayConfig: { limits: LIMITS, direct: { domain: DIRECT_DOMAIN } },
    ...(profileDir !== undefined && { env: (name) => profiling(profileDir, `${origin.name} ${name}`) }),
    ...more,
  });
  await tunnel.start();
  const pids = ORDER.map((name): [string, number] => [name, tunnel.processes[name].pid ?? 0]);
  return {
    name: "fairlead",
    tunnel,
    endpoint: endpointOfKubeconfig(tunnel.kubeconfig),
    kubeconfig: tunnel.kubeconfig,
    processes: Object.fromEntries(pids),
    privateUrls: () => tunnel.privateUrls,
    stop: () => tunnel.stop(),
  };
}

/** node writes the profile when the process ends by itself, which it does on SIGTERM. */
function profiling(dir: string, name: string): Record<string, string> {
  const file = `${name.replaceAll(" ", "-")}.cpuprofile`;
  return { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${dir} --cpu-prof-name=${file}` };
}
