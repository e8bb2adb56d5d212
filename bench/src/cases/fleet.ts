import { execFile } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findTestbedPrograms } from "@fairlead/test/support/testbed-programs";
import { alice } from "@fairlead/test/support/tunnel";
import { makeUserCommands } from "@fairlead/test/support/user-commands";
import { type AgentsHost, startAgentsHost } from "../agents/agents-host.ts";
import { createLightClusters } from "../agents/create-clusters.ts";
import type { BenchContext, Case, Row } from "../case.ts";
import type { Origin } from "../origin/origin.ts";
import { type FairleadPath, startFairlead } from "../path/fairlead.ts";

const run = promisify(execFile);

const CLUSTERS = 200;
const QUICK_CLUSTERS = 20;
const MOST_OUTPUT_BYTES = 64 * 1024 * 1024;

const COMMAND = "kubectl get namespaces --output name";
/** As somebody would type it. */
const WAYS: readonly (readonly [string, string])[] = [
  ["exec --all", `fairlead exec --all -- ${COMMAND}`],
  ["loop of exec", `for c in $(fairlead clusters --output name); do fairlead exec "$c" -- ${COMMAND}; done`],
  [
    "proxy --all, then a loop of kubectl",
    "fairlead proxy --all --background && for c in $(fairlead clusters --output name); do kubectl --context fairlead-$c get namespaces --output name; done; fairlead proxy --stop",
  ],
];

/** One command over all clusters. */
export const fleet: Case = {
  name: "fleet",
  title: `\`${COMMAND}\` in each of many clusters, by one command and by loops. Each cluster has a light agent, all of one process, which leads to the same kube-apiserver without an identity proxy between`,
  inQuick: false,
  plotted: "seconds",
  run: async (context) => {
    const count = context.options.quick ? QUICK_CLUSTERS : CLUSTERS;
    const origin = await context.apiserver();
    const path = await startFairlead(origin, { folder: context.folder, profileDir: context.options.profile });
    const host = await startAgentsHost();
    try {
      context.tell(`fleet: ${count} agents attach`);
      await addClusters(path, host, count, origin);
      const env = await userEnvironment(path, context);
      const rows: Row[] = [];
      for (const [way, script] of WAYS) {
        context.tell(`fleet: ${way}`);
        rows.push(await measure(way, script, env, count + 1));
      }
      await context.stalls.note(path);
      return rows;
    } finally {
      await host.stop();
      await path.stop();
    }
  },
};

/** Clusters that the person may reach, beside the tunnel's own. */
async function addClusters({ tunnel }: FairleadPath, agents: AgentsHost, count: number, origin: Origin): Promise<void> {
  const joinTokens = await createLightClusters(tunnel, count);
  const ca = await readFile(tunnel.file("ca.crt"), "utf8");
  await tunnel.cli(tunnel.administrator, "rules", "create", "fleet", "--user", alice.email, "--cluster", "*");
  const { hostname, port } = new URL(tunnel.relayUrl);
  const { attached } = await agents.ask({
    ...{ do: "start", host: hostname, port: Number(port), ca, joinTokens, serves: origin.endpoint },
  });
  if (attached !== count) throw new Error(`${attached} of ${count} agents are attached`);
}

/** Of the person, in a home of their own. */
async function userEnvironment({ tunnel }: FairleadPath, { folder }: BenchContext): Promise<Record<string, string>> {
  const home = join(folder, "fleet-home");
  const bin = join(home, "bin");
  await mkdir(home);
  await makeUserCommands(bin, (await findTestbedPrograms()).kubectl);
  return {
    ...{ HOME: home, PATH: `${bin}:/usr/bin:/bin`, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? "" },
    ...{ FAIRLEAD_RELAY: tunnel.relayUrl, FAIRLEAD_RELAY_CA: tunnel.file("ca.crt") },
    FAIRLEAD_TOKEN: (await readFile(tunnel.tokenFile(alice), "utf8")).trim(),
  };
}

async function measure(way: string, script: string, env: Record<string, string>, clusters: number): Promise<Row> {
  const beganMs = performance.now();
  const { stdout } = await run("/bin/bash", ["-c", script], { env, maxBuffer: MOST_OUTPUT_BYTES });
  const seconds = (performance.now() - beganMs) / 1_000;
  const answered = stdout.split("\n").filter((line) => line.endsWith("namespace/default")).length;
  const missing = clusters - answered;
  const failures = missing === 0 ? {} : { failures: { count: missing, first: `${answered} of ${clusters} answered` } };
  const figures = [{ name: "seconds", unit: "s", value: seconds }];
  return {
    case: fleet.name,
    variant: `${clusters} clusters, ${availableParallelism()} cores`,
    path: way,
    figures,
    ...failures,
  };
}
