import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type AgentsAnswer,
  type AgentsHost,
  type AgentsQuestion,
  STARTING,
  startAgentsHost,
} from "../agents/agents-host.ts";
import { createLightClusters } from "../agents/create-clusters.ts";
import type { BenchContext, Case, Figure, Row } from "../case.ts";
import { openFilesLimit } from "../measure/file-limit.ts";
import { cpuTimeUs, memoryOf } from "../measure/process-usage.ts";
import { warmUp } from "../measure/warm-up.ts";
import { type FairleadPath, startFairlead } from "../path/fairlead.ts";

const AGENTS = 10_000;
const QUICK_AGENTS = 1_000;
const HOSTS = 2;
/** What a relay has open beside its agents' connections, at most. */
const OTHER_FILES = 500;
/** How long memory may settle before it is read, in milliseconds: two heartbeats of each agent. */
const SETTLE_MS = 20_000;
/** How long rest is measured, in milliseconds. */
const REST_MS = 20_000;
const QUICK_MS = 3_000;
/** After this time it is counted how many are back, in milliseconds. */
const FIRST_MS = 30_000;
/** How long all may take to attach again beyond that, in milliseconds. */
const RECONNECT_MS = 120_000;
const KIB_PER_MIB = 1024;

/** Idle agents on one relay, and what they cost. */
export const agents: Case = {
  name: "agents",
  title:
    "Idle agents on one relay, each with a TLS connection, a cluster and two idle lanes of its own, by the real contract: the relay's memory (RSS) and CPU, and how long all take to attach again after the relay was killed and started anew. The agents share the machine's cores with it",
  inQuick: false,
  plotted: "memory an agent",
  run: async (context) => {
    const origin = await context.fastOrigin();
    const path = await startFairlead(origin, { folder: context.folder, profileDir: context.options.profile });
    const hosts = await Promise.all(Array.from({ length: HOSTS }, startAgentsHost));
    try {
      await warmUp(context.load, origin, path, context.options.quick ? 1_000 : 4_000);
      await context.stalls.skip(path);
      return [await measure(context, path, hosts)];
    } finally {
      await context.stalls.note(path);
      await Promise.all(hosts.map((host) => host.stop()));
      await path.stop();
    }
  },
};

async function measure(context: BenchContext, path: FairleadPath, hosts: readonly AgentsHost[]): Promise<Row> {
  const { quick } = context.options;
  const count = fitting(context, quick ? QUICK_AGENTS : AGENTS);
  context.tell(`agents: making ${count} clusters`);
  const creating = await timed(() => createLightClusters(path.tunnel, count));
  await sleep(quick ? QUICK_MS : SETTLE_MS);
  const before = relayMemory(path);
  context.tell(`agents: ${count} attach`);
  const attaching = await timed(() => startAgents(path, hosts, creating.result));
  const rest = await measureRest(path, quick);
  const { relay: attachingStall = 0 } = await context.stalls.note(path); // this relay's metrics go with it
  context.tell("agents: the relay is killed and started again");
  const back = await restartRelay(path, hosts, count);
  await sleep(quick ? QUICK_MS : SETTLE_MS);
  const { relay: returningStall = 0 } = await context.stalls.note(path);
  const figures: Figure[] = [
    { name: "making the clusters", unit: "s", value: creating.seconds },
    { name: `attaching, ${HOSTS * STARTING} at once`, unit: "s", value: attaching.seconds },
    { name: "memory before", unit: "MiB", process: "relay", value: before },
    { name: "memory at rest", unit: "MiB", process: "relay", value: rest.memoryMib },
    { name: "memory an agent", unit: "KiB", value: ((rest.memoryMib - before) * KIB_PER_MIB) / count },
    { name: "CPU at rest", unit: "ms/s", process: "relay", value: rest.cpuMsPerSecond },
    { name: "all back after the kill", unit: "s", value: back.sinceKillS },
    { name: "all back after the relay was ready", unit: "s", value: back.sinceReadyS },
    { name: `back within ${FIRST_MS / 1_000} s of that`, unit: "", value: back.first },
    { name: "attempts that failed", unit: "", value: back.failedAttempts },
    { name: "memory after that", unit: "MiB", process: "relay", value: relayMemory(path) },
    { name: "stall until the kill", unit: "ms", process: "relay", value: attachingStall },
    { name: "stall after it", unit: "ms", process: "relay", value: returningStall },
  ];
  const missing = count + 1 - rest.agents + 2 * (count + 1) - rest.lanes + back.missing;
  const first = `${rest.agents} agents with ${rest.lanes} lanes at rest; ${back.missing} not back; ${back.reason}`;
  const failures = missing === 0 ? {} : { failures: { count: missing, first } };
  return { case: agents.name, variant: `${count} agents`, path: path.name, figures, ...failures };
}

function relayMemory({ tunnel }: FairleadPath): number {
  return memoryOf(tunnel.processes.relay.pid ?? 0).now;
}

/** What the relay needs, and how many agents and lanes it says there are, its own cluster's included. */
async function measureRest(path: FairleadPath, quick: boolean) {
  const { tunnel } = path;
  const pid = tunnel.processes.relay.pid ?? 0;
  await sleep(quick ? QUICK_MS : SETTLE_MS);
  const restMs = quick ? QUICK_MS : REST_MS;
  const cpuBeforeUs = cpuTimeUs(pid);
  await sleep(restMs);
  const cpuUs = cpuTimeUs(pid) - cpuBeforeUs;
  const metrics = await (await fetch(`${tunnel.privateUrls.relay}/metrics`)).text();
  const count = (name: string): number => Number(new RegExp(`^fairlead_${name} (\\d+)$`, "m").exec(metrics)?.[1] ?? 0);
  return {
    memoryMib: relayMemory(path),
    cpuMsPerSecond: cpuUs / restMs,
    agents: count("agents"),
    lanes: count("agent_lanes"),
  };
}

/** As many as this machine's limit of open files lets one process have; it tells when that is fewer. */
function fitting(context: BenchContext, wanted: number): number {
  const limit = openFilesLimit();
  const count = Math.min(wanted, limit - OTHER_FILES);
  context.tell(`agents: a process may have ${limit} files open (ulimit -n)`);
  if (count < wanted) context.disturbed(`agents: ${count} instead of ${wanted}, for the limit of open files`);
  return count;
}

async function timed<T>(act: () => Promise<T>): Promise<{ result: T; seconds: number }> {
  const beganMs = performance.now();
  const result = await act();
  return { result, seconds: (performance.now() - beganMs) / 1_000 };
}

async function startAgents(
  { tunnel }: FairleadPath,
  hosts: readonly AgentsHost[],
  joinTokens: readonly string[],
): Promise<void> {
  const ca = await readFile(tunnel.file("ca.crt"), "utf8");
  const { hostname, port } = new URL(tunnel.relayUrl);
  const share = Math.ceil(joinTokens.length / hosts.length);
  await Promise.all(
    hosts.map((host, i) => {
      const own = joinTokens.slice(i * share, (i + 1) * share);
      return host.ask({ do: "start", host: hostname, port: Number(port), ca, joinTokens: own });
    }),
  );
}

/** Kills the relay, starts it again, and waits until all agents are back. What fails before it is ready is no failure. */
async function restartRelay({ tunnel }: FairleadPath, hosts: readonly AgentsHost[], count: number) {
  const nowMs = (): number => performance.timeOrigin + performance.now();
  const askAll = (question: AgentsQuestion) => Promise.all(hosts.map((host) => host.ask(question)));
  const killedMs = nowMs();
  await tunnel.processes.relay.end("SIGKILL");
  await tunnel.startProcess("relay");
  const readyMs = nowMs();
  await askAll({ do: "forget losses" });
  const early = await askAll({ do: "await all", withinMs: FIRST_MS });
  const late = await askAll({ do: "await all", withinMs: RECONNECT_MS });
  const missing = count - attachedOf(late);
  const lastMs = missing === 0 ? Math.max(...late.map(({ lastAtMs }) => lastAtMs)) : Number.NaN;
  const losses = lossesOf(late);
  return {
    sinceKillS: (lastMs - killedMs) / 1_000,
    sinceReadyS: (lastMs - readyMs) / 1_000,
    first: attachedOf(early),
    failedAttempts: losses.reduce((sum, { times }) => sum + times, 0),
    missing,
    reason: losses
      .slice(0, 3)
      .map(({ reason, times }) => `${times} times: ${reason}`)
      .join("; "),
  };
}

function attachedOf(answers: readonly AgentsAnswer[]): number {
  return answers.reduce((sum, { attached }) => sum + attached, 0);
}

/** How often agents were lost, by reason; the most frequent first. */
function lossesOf(answers: readonly AgentsAnswer[]): { reason: string; times: number }[] {
  const byReason = new Map<string, number>();
  for (const [reason, times] of answers.flatMap(({ losses }) => Object.entries(losses))) {
    byReason.set(reason, (byReason.get(reason) ?? 0) + times);
  }
  const all = [...byReason].map(([reason, times]) => ({ reason, times }));
  return all.sort((a, b) => b.times - a.times);
}
