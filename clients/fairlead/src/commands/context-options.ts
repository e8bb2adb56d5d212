import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Command } from "commander";
import { misuse } from "../misuse.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { collect, parseLabels } from "./global-options.ts";

/** Which clusters, and what their contexts are to be like. */
export interface ContextOptions {
  all?: boolean;
  label: string[];
  file?: string;
  contextName?: string;
  namespace?: string;
}

/** Adds them to a command. */
export function addContextOptions(command: Command): Command {
  return addSelection(command)
    .option("--file <file>", "write the kubeconfig to this file (0600), not into your own")
    .option("--context-name <template>", 'what contexts are named, as in "{cluster}" (default: "fairlead-{cluster}")')
    .option("--namespace <name>", "the contexts' namespace");
}

/** Adds the options that select clusters. */
export function addSelection(command: Command): Command {
  return command
    .option("--all", "all clusters that you may reach")
    .option("--label <key=value>", "those that have this label; may be repeated, and all count", collect, []);
}

/** Whether it is said which clusters are meant, and in one way. @throws FairleadError MALFORMED_REQUEST if not */
export function checkSelection(named: readonly string[], { all, label }: Pick<ContextOptions, "all" | "label">): void {
  const isChosen = all || label.length > 0;
  if (named.length > 0 && isChosen) throw misuse("name the clusters, or give --all or --label, not both");
  if (named.length === 0 && !isChosen)
    throw misuse("which clusters? name them, or give --all; `fairlead clusters` lists them");
}

/**
 * The clusters that are meant, by name.
 *
 * @param named those that were named, which {@link checkSelection} has seen
 * @throws FairleadError CLUSTER_UNKNOWN if there are none of that kind
 */
export async function clustersOf(
  relay: RelayConnection,
  named: readonly string[],
  { all, label }: Pick<ContextOptions, "all" | "label">,
): Promise<string[]> {
  const labels = Object.entries(parseLabels(label));
  if (!all && labels.length === 0) return [...named];
  const { clusters } = await relay.clusters.listClusters({});
  const chosen = clusters.filter((cluster) => labels.every(([key, value]) => cluster.labels[key] === value));
  if (chosen.length > 0) return chosen.map(({ name }) => name).sort();
  const sentence =
    labels.length === 0 ? "there is no cluster that you may reach" : "no cluster that you may reach has these labels";
  throw new FairleadError(ErrorCode.CLUSTER_UNKNOWN, Hop.RELAY, `${sentence}; see \`fairlead clusters\``);
}
