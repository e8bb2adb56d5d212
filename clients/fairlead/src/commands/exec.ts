import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { fleetProxies } from "../fleet/fleet-proxies.ts";
import { KeptOutput } from "../fleet/kept-output.ts";
import { prefixedLines } from "../fleet/prefixed-lines.ts";
import { type Ended, runInClusters } from "../fleet/run-in-clusters.ts";
import { clusterAccesses } from "../kubeconfig/cluster-access.ts";
import { misuse } from "../misuse.ts";
import { print, tell } from "../output.ts";
import { addSelection, type ContextOptions, checkSelection, clustersOf } from "./context-options.ts";
import { type RelayOptions, relayOf, seconds } from "./global-options.ts";

interface ExecOptions extends RelayOptions, Pick<ContextOptions, "all" | "label"> {
  namespace?: string;
  parallel: number;
  timeout?: number;
  succeedIf: "all" | "any" | "always";
}

const DEFAULT_PARALLEL = 8;
const MAX_PARALLEL = 200;

/** `fairlead exec`: a command with access to a cluster for as long as it runs, or one over many clusters. */
export function execCommand(): Command {
  const command = new Command("exec")
    .description("run a command with access to a cluster, or once for each of many")
    .argument("[clusters...]", "the clusters; then -- and the command");
  return addSelection(command)
    .option("-n, --namespace <name>", "the namespace that the command begins in")
    .option("--parallel <number>", "how many at once", parallel, DEFAULT_PARALLEL)
    .option("--timeout <seconds>", "end those that take longer (exit code 143)", seconds)
    .addOption(
      new Option("--succeed-if <rule>", "exit 0 if the command did so in all clusters, in any, or always")
        .choices(["all", "any", "always"])
        .default("all"),
    )
    .addHelpText("after", EXAMPLES)
    .action(runExec);
}

const EXAMPLES = `
The command gets a kubeconfig with one cluster in KUBECONFIG, and its name in FAIRLEAD_CLUSTER. What leads there ends with
it. With one cluster that is named, it is as if it ran by itself: input, output and exit code are its own. Otherwise each
line of its output begins with the cluster's name; with --output json there is one JSON line for each cluster.

Examples:
  fairlead exec --all -- kubectl get nodes
  fairlead exec --label env=prod --parallel 20 -- kubectl rollout status deployment/web -n shop
  fairlead exec prod-eu1 -- helm upgrade --install web ./chart --wait
  fairlead exec prod-eu1 prod-us1 -- helm list -A
  fairlead exec --all --output json -- kubectl get ns -o name | jq -r 'select(.code != 0).cluster'
  fairlead exec --all -- sh -c 'kubectl get pods -A --no-headers | wc -l'`;

async function runExec(words: string[], _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<ExecOptions>();
  const { named, program, args } = split(words);
  checkSelection(named, options);
  const relay = relayOf(options);
  const clusters = await clustersOf(relay, named, options);
  const accesses = await clusterAccesses(relay, clusters, { namespace: options.namespace });
  const { reachable, proxies } = await fleetProxies(relay, accesses);
  const giveUp = new AbortController();
  const isJson = options.output === "json";
  const isAlone = named.length === 1 && !isJson;
  // Ctrl-C goes to a command beside us by the terminal itself, and it may go on, as prompts do.
  process.on("SIGINT", () => isAlone || giveUp.abort());
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => giveUp.abort());
  // Whoever reads our output has seen enough (EPIPE).
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => giveUp.abort());
  process.stdout.setMaxListeners(2 * MAX_PARALLEL); // each waits for it while it is full
  process.stderr.setMaxListeners(2 * MAX_PARALLEL);
  const kept = new Map<string, { stdout: KeptOutput; stderr: KeptOutput }>();
  const width = Math.max(...clusters.map((name) => name.length));
  const output = (cluster: string, stdout: Readable, stderr: Readable): Promise<unknown> => {
    if (!isJson) {
      const prefix = `${cluster.padEnd(width)} | `;
      return Promise.all([lines(stdout, prefix, process.stdout), lines(stderr, prefix, process.stderr)]);
    }
    const both = { stdout: new KeptOutput(), stderr: new KeptOutput() };
    kept.set(cluster, both);
    return Promise.all([pipeline(stdout, both.stdout), pipeline(stderr, both.stderr)]);
  };
  try {
    const ended = await runInClusters(reachable, {
      ...{ command: program, args, parallel: options.parallel, signal: giveUp.signal },
      timeoutMs: options.timeout === undefined ? undefined : options.timeout * 1_000,
      output: isAlone ? undefined : output,
      notStarted: (cluster, error) => tell(`${cluster}: ${program} cannot be started: ${error.message}`),
      ended: (one) => {
        if (isJson) print(JSON.stringify(json(one, kept.get(one.cluster))));
        kept.delete(one.cluster);
      },
    });
    if (isAlone) {
      process.exitCode = ended[0]?.code ?? 1;
      return;
    }
    const failed = ended.filter(({ code }) => code !== 0);
    const missing = clusters.length - ended.length;
    if (failed.length > 0 || missing > 0) tell(summary(ended, failed, missing));
    process.exitCode = succeeds(options.succeedIf, ended.length - failed.length, clusters.length) ? 0 : 1;
  } finally {
    proxies.stop();
  }
}

/** The words before and behind "--". @throws FairleadError MALFORMED_REQUEST without a command */
function split(words: readonly string[]): { named: string[]; program: string; args: string[] } {
  const at = process.argv.indexOf("--");
  const [program, ...args] = at === -1 ? [] : process.argv.slice(at + 1);
  if (program !== undefined) return { named: words.slice(0, words.length - args.length - 1), program, args };
  const sentence = "which command? write it behind --, as in: fairlead exec --all -- kubectl get nodes";
  throw misuse(sentence);
}

/** Writes a program's lines to where all programs' lines go, and waits while that takes no more. */
async function lines(from: Readable, prefix: string, to: Writable): Promise<void> {
  const prefixed = from.pipe(prefixedLines(prefix));
  for await (const text of prefixed) {
    if (to.destroyed || to.errored) return; // nobody reads it
    if (!to.write(text)) await Promise.race([once(to, "drain"), once(to, "close")]).catch(() => {});
  }
}

function json(
  { cluster, code, seconds: taken }: Ended,
  kept: { stdout: KeptOutput; stderr: KeptOutput } | undefined,
): object {
  const { stdout, stderr } = kept ?? {};
  const isCut = stdout?.isCut || stderr?.isCut;
  const output = { stdout: stdout?.text ?? "", stderr: stderr?.text ?? "", ...(isCut && { isCut }) };
  return { cluster, code, seconds: Number(taken.toFixed(3)), ...output };
}

function summary(ended: readonly Ended[], failed: readonly Ended[], missing: number): string {
  const which = failed.map(({ cluster, code }) => `${cluster} (exit ${code})`).join(", ");
  const begun = `${ended.length - failed.length} of ${ended.length + missing} succeeded`;
  return [begun, which && `failed: ${which}`, missing > 0 && `not begun: ${missing}`].filter(Boolean).join("; ");
}

function succeeds(rule: ExecOptions["succeedIf"], succeeded: number, all: number): boolean {
  if (rule === "always") return true;
  return rule === "any" ? succeeded > 0 : succeeded === all;
}

function parallel(value: string): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= 1 && number <= MAX_PARALLEL) return number;
  throw new InvalidArgumentError(`a number from 1 to ${MAX_PARALLEL} is due`);
}
