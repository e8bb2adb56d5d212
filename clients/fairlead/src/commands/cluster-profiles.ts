import { sentence } from "@fairlead/http-bridge";
import { FairleadError } from "@fairlead/protocol";
import { Command } from "commander";
import { followClusters } from "../cluster-profiles/follow.ts";
import { Publisher, type Round } from "../cluster-profiles/publisher.ts";
import { print, printJson, tell } from "../output.ts";
import { type RelayOptions, relayOf } from "./global-options.ts";
import type { TargetOptions } from "./target-options.ts";

interface ClusterProfilesOptions extends RelayOptions, TargetOptions {
  once?: boolean;
  dryRun?: boolean;
}

/** `fairlead cluster-profiles`: the clusters that one may reach, as objects that controllers on a hub read. */
export function clusterProfilesCommand(): Command {
  return new Command("cluster-profiles")
    .description("keep a ClusterProfile object in a hub for each cluster that you may reach, for controllers there")
    .option("--kubeconfig <file>", "of the hub (default: $KUBECONFIG, ~/.kube/config, or a pod's service account)")
    .option("--context <name>", "its context (default: the current one)")
    .option("--namespace <name>", "where in the hub; it has to be there", "fairlead")
    .option("--once", "publish them as they are now, and end")
    .option("--dry-run", "print the objects, and write nothing")
    .addHelpText("after", EXAMPLES)
    .action(clusterProfiles);
}

const EXAMPLES = `
Objects of other managers and of other relays are left alone. Run one for each relay and namespace.

Examples:
  fairlead cluster-profiles --context hub --namespace fleet
  fairlead cluster-profiles --context hub --namespace fleet --once
  fairlead cluster-profiles --dry-run`;

async function clusterProfiles(_own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<ClusterProfilesOptions>();
  const relay = relayOf(options);
  const publisher = new Publisher(relay);
  if (options.dryRun) {
    const { objects, ...round } = await publisher.objects(options.namespace);
    if (options.output === "json") printJson(objects);
    else print((await import("yaml")).stringify({ apiVersion: "v1", kind: "List", items: objects }).trimEnd());
    return endRound(round);
  }
  const { openHub } = await import("../cluster-profiles/hub.ts"); // a client for Kubernetes: large
  const hub = openHub(options.kubeconfig, options.context, options.namespace);
  const first = await publisher.publish(hub);
  if (options.once) {
    if (options.output === "json") printJson({ published: first.published, removed: first.removed });
    return endRound(first);
  }
  tellRound(first);
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  await followClusters(relay, publisher, hub, { told: tellRound, failed: tellFault, signal: stop.signal });
}

/** @throws the first fault, when all have been told */
function endRound(round: Round): void {
  tellRound({ ...round, failed: round.failed.slice(1) });
  const [first] = round.failed;
  if (first) throw new FairleadError(first.error.code, first.error.hop, `${first.cluster}: ${first.error.message}`);
}

function tellRound({ published, removed, failed, warnings }: Round): void {
  for (const warning of warnings) tell(`warning: ${warning}`);
  if (published.length > 0) tell(`${published.join(", ")}: published.`);
  if (removed.length > 0) tell(`${removed.join(", ")}: removed.`);
  for (const { cluster, error } of failed) tell(`${cluster} is not as it should be: ${sentence(error)}`);
}

function tellFault(error: FairleadError, waitMs: number): void {
  tell(`${sentence(error)}; once more in ${waitMs / 1_000} s`);
}
