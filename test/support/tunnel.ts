import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { PolicyRule } from "@fairlead/authorization";
import { prepareCluster, Tunnel, type TunnelOptions } from "@fairlead/demo";
import { KubeConfig } from "@kubernetes/client-node";
import { eventually } from "./eventually.ts";
import type { TestbedAddress } from "./testbed.ts";

/** Who the tests are at the cluster, by the tunnel: the user name there is the e-mail address. */
export const alice = { email: "alice@example.com", groups: ["dev"] };

/** A running tunnel to a test bed. */
export interface TunnelToTestbed {
  readonly tunnel: Tunnel;
  /** The user name of its identity proxy's account: whose requests in the audit log came this way, and no other test's. */
  readonly account: string;
  /** Ends its processes and removes what was made in the cluster. */
  stop(): Promise<void>;
}

/** Starts the whole path to a test bed, every process the real one; alice has the ClusterRole cluster-admin. */
export async function startTunnel(
  testbed: Pick<TestbedAddress, "dir" | "adminKubeconfig">,
  options: Partial<TunnelOptions> & { rules?: PolicyRule[] } = {},
): Promise<TunnelToTestbed> {
  const folder = await mkdtemp(join(testbed.dir, "tunnel-"));
  const admin = new KubeConfig();
  admin.loadFromFile(testbed.adminKubeconfig);
  const impersonatorKubeconfig = join(folder, "identity-proxy.kubeconfig");
  const prepared = await prepareCluster(admin, alice.email, "cluster-admin", impersonatorKubeconfig, options.rules);
  const tunnel = await Tunnel.create({ folder, cluster: "testbed", person: alice, impersonatorKubeconfig, ...options });
  await tunnel.start();
  return {
    tunnel,
    account: `system:serviceaccount:${prepared.name}:identity-proxy`,
    stop: async () => {
      await tunnel.stop();
      await prepared.undo();
    },
  };
}

/** The counts of all processes of a tunnel, from their private ports: `relay exchanges`, `agent lanes` and so on. */
export async function countsOf(tunnel: Tunnel): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [process, url] of Object.entries(tunnel.privateUrls)) {
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const [, name = "", value] of text.matchAll(/^fairlead_(\w+) (\d+)$/gm)) {
      if (!name.startsWith("event_loop")) counts[`${process} ${name}`] = Number(value); // a time is no count
    }
  }
  return counts;
}

/** The counts of a tunnel that has carried a request and is at rest. */
export function restingCounts(tunnel: Tunnel): Promise<Record<string, number>> {
  let last = "";
  return eventually(
    async () => {
      const counts = await countsOf(tunnel);
      const text = JSON.stringify(counts);
      const settled = text === last && counts["relay exchanges"] === 0 && counts["relay sessions"] === 2;
      last = text;
      return settled && counts["agent lanes"] === 2 && (counts["client proxy lanes"] ?? 0) <= 2 && counts;
    },
    { what: "a tunnel at rest", timeoutMs: 60_000 },
  );
}

/** Waits until the counts are those that were before; of lanes and sockets, which are kept idle, there may be fewer. */
export async function untilCountsAre(tunnel: Tunnel, before: Record<string, number>): Promise<void> {
  let last: Record<string, number> = {};
  const isBack = ([name, count]: [string, number]): boolean =>
    /(sockets|lanes)$/.test(name) ? (last[name] ?? Number.NaN) <= count : last[name] === count;
  try {
    await eventually(
      async () => {
        last = await countsOf(tunnel);
        return Object.entries(before).every(isBack);
      },
      { what: "the counts of before", timeoutMs: 60_000 },
    );
  } catch (cause) {
    throw new Error(`before ${JSON.stringify(before)}, now ${JSON.stringify(last)}`, { cause });
  }
}
