import { Command } from "commander";
import { clusterAccesses, saveKubeconfig } from "../kubeconfig/cluster-access.ts";
import { defaultKubeconfig, kubeconfigText, removeFromKubeconfig } from "../kubeconfig/kubeconfig.ts";
import { type ScopeOptions, scopeOf } from "../kubeconfig/scope.ts";
import { print, printJson, tell } from "../output.ts";
import { addContextOptions, type ContextOptions, checkSelection, clustersOf } from "./context-options.ts";
import { port, type RelayOptions, relayOf } from "./global-options.ts";

interface KubeconfigOptions extends RelayOptions, ScopeOptions, ContextOptions {
  merge?: boolean;
  remove?: boolean;
  port?: number;
}

/** `fairlead kubeconfig`: the kubeconfig of clusters, without running their proxy. */
export function kubeconfigCommand(): Command {
  const command = new Command("kubeconfig")
    .description("print, write or remove clusters' contexts, which point at `fairlead proxy`")
    .argument("[clusters...]", "the clusters")
    .option("--merge", "put them into your kubeconfig; a single one becomes the current context")
    .option("--remove", "remove their contexts from your kubeconfig, or from --file")
    .option("--port <port>", "the proxy's port, where it runs with --port", port)
    .option("--read-only", "a context that can only read: no change, no exec, no port-forward")
    .option("--groups <names>", 'a context for which only these of your groups count, as in dev,ops; "" for none');
  return addContextOptions(command).addHelpText("after", EXAMPLES).action(runKubeconfig);
}

const EXAMPLES = `
Examples:
  fairlead kubeconfig prod-eu1 --merge
  fairlead kubeconfig --all --merge --context-name "{cluster}" --namespace shop
  fairlead kubeconfig prod-eu1 --file ./prod-eu1.conf
  fairlead kubeconfig prod-eu1 --groups dev --merge
  fairlead kubeconfig prod-eu1 --read-only --file ./for-an-agent.conf
  fairlead kubeconfig --all --remove`;

async function runKubeconfig(named: string[], _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<KubeconfigOptions>();
  checkSelection(named, options);
  const scope = scopeOf(options);
  if (options.remove) return remove(named, options);
  const relay = relayOf(options);
  const { port, contextName, namespace } = options;
  const wishes = { port, scope, contextName, namespace };
  const accesses = await clusterAccesses(relay, await clustersOf(relay, named, options), wishes);
  const contexts = accesses.map(({ entries }) => entries.name);
  if (options.file === undefined && !options.merge) {
    return print(kubeconfigText(accesses.map(({ entries }) => entries)).trimEnd());
  }
  const file = await saveKubeconfig(accesses, options.file);
  if (options.output === "json") return printJson({ kubeconfig: file, context: contexts[0], contexts });
  tell(`${contexts.join(", ")} ${contexts.length === 1 ? "is" : "are"} in ${file}.`);
  tell(
    `Run \`fairlead proxy ${accesses.map(({ cluster }) => cluster).join(" ")}\` to use ${contexts.length === 1 ? "it" : "them"}.`,
  );
}

/** Nobody is asked: a cluster that is gone, or out of reach, leaves a context too. */
async function remove(named: string[], options: KubeconfigOptions): Promise<void> {
  const clusters = options.all ? undefined : new Set(named);
  const file = options.file ?? defaultKubeconfig();
  const gone = await removeFromKubeconfig(file, ({ cluster }) => clusters?.has(cluster) ?? true);
  if (options.output === "json") return printJson({ kubeconfig: file, removed: gone });
  tell(gone.length === 0 ? `There is none of them in ${file}.` : `${gone.join(", ")}: removed from ${file}.`);
}
