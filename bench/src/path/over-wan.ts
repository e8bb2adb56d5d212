import type { TunnelOptions } from "@fairlead/demo";
import type { Origin } from "../origin/origin.ts";
import type { Wan } from "../wan/wan.ts";
import type { Detour } from "./detour.ts";
import type { Path } from "./path.ts";
import { kubeconfigAt } from "./tcp-peer.ts";

/*
 * A tunnel has two links: person to server, and server to cluster. Each has half of the round trip. Where a path has
 * one link, that has the whole.
 */
const HALF = 0.5;

/** A detour with half of the round trip, for a tunnel's own link. */
export function halfDetour(wan: Wan): Detour {
  return (port) => wan.open({ host: "127.0.0.1", port }, HALF);
}

/** What lets client proxy and agent reach the relay over half of the round trip each. */
export function relayOverWan(wan: Wan): Pick<TunnelOptions, "relayUrlFor"> {
  return { relayUrlFor: async (_from, url) => `https://127.0.0.1:${await halfDetour(wan)(Number(new URL(url).port))}` };
}

/** An origin over the whole round trip. @param folder for its kubeconfig */
export async function originOverWan(origin: Origin, wan: Wan, folder: string): Promise<Origin> {
  const port = await wan.open({ host: "127.0.0.1", port: origin.endpoint.port }, 1);
  const kubeconfig = await kubeconfigAt(port, origin, folder, "kubeconfig-over-wan");
  return { ...origin, endpoint: { ...origin.endpoint, port }, kubeconfig };
}

/** A tunnel whose front is reached over half of the round trip; its other half is on its own link. */
export async function frontOverWan(path: Path, wan: Wan): Promise<Path> {
  const { connectThrough } = path.endpoint;
  if (connectThrough === undefined) {
    return { ...path, endpoint: { ...path.endpoint, port: await halfDetour(wan)(path.endpoint.port) } };
  }
  const target =
    "socketPath" in connectThrough
      ? { path: connectThrough.socketPath }
      : { host: "127.0.0.1" as const, port: connectThrough.port };
  return { ...path, endpoint: { ...path.endpoint, connectThrough: { port: await wan.open(target, HALF) } } };
}
