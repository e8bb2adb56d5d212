import { readFile } from "node:fs/promises";
import { alice } from "@fairlead/test/support/tunnel";
import type { Origin } from "../origin/origin.ts";
import { DIRECT_DOMAIN, type FairleadOptions, startFairlead } from "./fairlead.ts";
import type { Path } from "./path.ts";

/** Our path without the client proxy: the load asks the relay itself, by the cluster's name and with Alice's token. */
export async function startFairleadDirect(origin: Origin, options: FairleadOptions): Promise<Path> {
  const path = await startFairlead(origin, options);
  const { tunnel } = path;
  await tunnel.processes["client proxy"].end();
  const { "client proxy": _, ...processes } = path.processes;
  const [ca, token] = await Promise.all(
    [tunnel.file("ca.crt"), tunnel.tokenFile(alice)].map((f) => readFile(f, "utf8")),
  );
  const { hostname: host, port } = new URL(tunnel.relayUrl);
  const headers = { Host: `${tunnel.cluster}.${DIRECT_DOMAIN}`, Authorization: `Bearer ${token?.trim()}` };
  return {
    name: "fairlead, direct endpoint",
    endpoint: { host, port: Number(port), tls: { ca: ca ?? "" }, headers },
    kubeconfig: undefined,
    processes,
    privateUrls: () => path.privateUrls?.() ?? {},
    stop: () => path.stop(),
  };
}
