import { Command } from "commander";
import { clusterAccesses, directAccess, distinctNames, saveKubeconfig } from "../kubeconfig/cluster-access.ts";
import { checkDirect, type DirectOptions, tokenPlugin } from "../kubeconfig/direct.ts";
import {
  defaultKubeconfig,
  type KubeconfigEntries,
  kubeconfigText,
  removeFromKubeconfig,
} from "../kubeconfig/kubeconfig.ts";
import { type ScopeOptions, scopeOf } from "../kubeconfig/scope.ts";
import { misuse } from "../misuse.ts";
import { print, printJson, tell } from "../output.ts";
import { selectedProfile } from "../profiles/profiles-file.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { addContextOptions, type ContextOptions, checkSelection, clustersOf } from "./context-options.ts";
import { port, type RelayOptions, relayOf } from "./global-options.ts";

interface KubeconfigOptions extends RelayOptions, ScopeOptions, ContextOptions, DirectOptions {
  merge?: boolean;
  remove?: boolean;
}

/** `fairlead kubeconfig`: the kubeconfig of clusters, without running their proxy. */
export function kubeconfigCommand(): Command {
  const command = new Command("kubeconfig")
    .description("print, write or remove clusters' contexts, which point at `fairlead proxy`, or at the relay")
    .argument("[clusters...]", "the clusters")
    .option("--merge", "put them into your kubeconfig; a single one becomes the current context")
    .option("--remove", "remove their contexts from your kubeconfig, or from --file")
    .option(
      "--direct",
      "such that need no proxy: kubectl asks the relay, with the token that `fairlead get-token` gives",
    )
    .option("--port <port>", "the proxy's port, where it runs with --port", port)
    .option("--read-only", "a context that can only read: no change, no exec, no port-forward")
    .option("--groups <names>", 'a context for which only these of your groups count, as in dev,ops; "" for none');
  return addContextOptions(command).addHelpText("after", EXAMPLES).action(runKubeconfig);
}

const EXAMPLES = `
Examples:
  fairlead kubeconfig prod-eu1 --merge
  fairlead kubeconfig prod-eu1 --direct --merge      # no proxy to run
  fairlead kubeconfig --all --merge --context-name "{cluster}" --namespace shop
  fairlead kubeconfig prod-eu1 --file ./prod-eu1.conf
  fairlead kubeconfig prod-eu1 --groups dev --merge
  fairlead kubeconfig prod-eu1 --read-only --file ./for-an-agent.conf
  fairlead kubeconfig --all --remove`;

async function runKubeconfig(named: string[], _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<KubeconfigOptions>();
  checkSelection(named, options);
  checkDirect(options);
  const scope = scopeOf(options);
  if (options.remove) return remove(named, options);
  const relay = relayOf(options);
  const clusters = await clustersOf(relay, named, options);
  const { port, contextName, namespace } = options;
  const entries = options.direct
    ? await directContexts(relay, clusters, options)
    : (await clusterAccesses(relay, clusters, { port, scope, contextName, namespace })).map((access) => access.entries);
  if (options.file === undefined && !options.merge) return print(kubeconfigText(entries).trimEnd());
  const file = await saveKubeconfig(entries, options.file);
  const contexts = entries.map(({ name }) => name);
  if (options.output === "json") return printJson({ kubeconfig: file, context: contexts[0], contexts });
  const [are, them] = contexts.length === 1 ? ["is", "it"] : ["are", "them"];
  tell(`${contexts.join(", ")} ${are} in ${file}.`);
  if (!options.direct) tell(`Run \`fairlead proxy ${clusters.join(" ")}\` to use ${them}.`);
}

/** Each names the same plugin: one login does for all. */
function directContexts(
  relay: RelayConnection,
  clusters: readonly string[],
  options: KubeconfigOptions,
): Promise<KubeconfigEntries[]> {
  // By name, so that another profile that becomes the current one does not change who these contexts are.
  const isGiven = options.tokenFile !== undefined || Boolean(process.env.FAIRLEAD_TOKEN);
  const profile = isGiven ? undefined : selectedProfile(options)?.name;
  const plugin = tokenPlugin({ ...options, ...(profile !== undefined && { profile }) }, relay.url);
  const names = distinctNames(clusters, options.contextName);
  return Promise.all(names.map((cluster) => directAccess(relay, cluster, options, plugin)));
}

/** Nobody is asked: a cluster that is gone, or out of reach, leaves a context too. */
async function remove(named: string[], options: KubeconfigOptions): Promise<void> {
  if (options.label.length > 0)
    throw misuse("--remove asks no relay what has a label; name the clusters, or give --all");
  const clusters = options.all ? undefined : new Set(named);
  // Of all relays, unless one is named.
  const isNamed = options.relay !== undefined || options.profile !== undefined;
  const at = options.relay ?? (isNamed ? selectedProfile(options)?.profile.relay : undefined);
  const relay = at === undefined ? undefined : URL.parse(at)?.origin;
  const file = options.file ?? defaultKubeconfig();
  const gone = await removeFromKubeconfig(file, (origin) => {
    return (clusters?.has(origin.cluster) ?? true) && (relay === undefined || origin.relay === relay);
  });
  if (options.output === "json") return printJson({ kubeconfig: file, removed: gone });
  tell(gone.length === 0 ? `There is none of them in ${file}.` : `${gone.join(", ")}: removed from ${file}.`);
}
