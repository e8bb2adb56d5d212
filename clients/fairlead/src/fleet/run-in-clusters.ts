import { type StdioOptions, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { type ClusterAccess, saveKubeconfig } from "../kubeconfig/cluster-access.ts";

/** How a program ended in one cluster. */
export interface Ended {
  cluster: string;
  /** Its exit code; 128 and the signal's number if one ended it, as shells have it; 127 if it could not be started. */
  code: number;
  seconds: number;
}

/** A program to be run in clusters. */
export interface FleetRun {
  command: string;
  args: readonly string[];
  /** How many at once. */
  parallel: number;
  /** After how long one is ended, in milliseconds; undefined: never. */
  timeoutMs: number | undefined;
  /** Takes a program's output. Resolves when all of it is written. undefined: it has our own standard streams. */
  output: ((cluster: string, stdout: Readable, stderr: Readable) => Promise<unknown>) | undefined;
  /** Tells why a program could not be started. */
  notStarted(cluster: string, error: Error): void;
  ended(ended: Ended): void;
  /** Ends all. */
  signal: AbortSignal;
}

/** Between asking a program to end and ending it, in milliseconds. */
const KILL_MS = 5_000;
/** How long what a program has left running may write on when it has ended, in milliseconds. */
const LINGER_MS = 1_000;

/**
 * Runs a program once for each cluster, with a kubeconfig of that cluster alone (the variables KUBECONFIG and
 * FAIRLEAD_CLUSTER).
 *
 * @returns how each ended, in the order of the clusters; those that were not begun when all was ended are left out
 */
export async function runInClusters(accesses: readonly ClusterAccess[], run: FleetRun): Promise<Ended[]> {
  const folder = await mkdtemp(join(tmpdir(), "fairlead-exec-")); // 0700
  const ended: Ended[] = [];
  const waiting = [...accesses];
  const work = async (): Promise<void> => {
    for (let access = waiting.shift(); access && !run.signal.aborted; access = waiting.shift()) {
      const kubeconfig = await saveKubeconfig([access.entries], join(folder, `${access.cluster}.conf`));
      if (run.signal.aborted) return;
      const one = await runOne(access.cluster, kubeconfig, run);
      run.ended(one);
      ended.push(one);
    }
  };
  try {
    // All of them, also when one fails: the kubeconfigs go when nobody uses them any more.
    const workers = await Promise.allSettled(Array.from({ length: run.parallel }, work));
    const failed = workers.find((worker) => worker.status === "rejected");
    if (failed) throw failed.reason;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return ended.sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
}

async function runOne(cluster: string, kubeconfig: string, run: FleetRun): Promise<Ended> {
  const startedAt = performance.now();
  const env = { ...process.env, KUBECONFIG: kubeconfig, FAIRLEAD_CLUSTER: cluster };
  // With those that it starts itself, which would hold its output open; beside a terminal it stays in our group.
  const inGroup = run.output !== undefined && process.platform !== "win32";
  const stdio = run.output ? (["ignore", "pipe", "pipe"] as const) : "inherit";
  const child = spawn(run.command, run.args, { stdio: stdio as StdioOptions, env, detached: inGroup });
  const kill = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(inGroup ? -child.pid : child.pid, signal);
    } catch {
      // it has ended
    }
  };
  const end = (): void => {
    kill("SIGTERM");
    setTimeout(() => kill("SIGKILL"), KILL_MS).unref();
  };
  const timer = run.timeoutMs === undefined ? undefined : setTimeout(end, run.timeoutMs);
  run.signal.addEventListener("abort", end);
  const { promise, resolve } = Promise.withResolvers<number>();
  child.once("error", (error) => {
    run.notStarted(cluster, error);
    resolve(127);
  });
  child.once("close", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  const { stdout, stderr } = child;
  child.once("exit", () =>
    setTimeout(() => {
      stdout?.destroy();
      stderr?.destroy();
    }, LINGER_MS).unref(),
  );
  const [code] = await Promise.all([promise, stdout && stderr && run.output?.(cluster, stdout, stderr)]);
  clearTimeout(timer);
  run.signal.removeEventListener("abort", end);
  return { cluster, code, seconds: (performance.now() - startedAt) / 1_000 };
}
