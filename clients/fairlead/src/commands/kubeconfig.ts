import { ErrorCode, FairleadError, type GetKubeconfigResponse, Hop, type Scope } from "@fairlead/protocol";
import { Command } from "commander";
import { checkDirect, type DirectOptions, directEntries, directServer, tokenPlugin } from "../kubeconfig/direct.ts";
import {
  defaultKubeconfig,
  type KubeconfigEntries,
  kubeconfigText,
  localEntries,
  mergeKubeconfig,
  writeKubeconfig,
} from "../kubeconfig/kubeconfig.ts";
import { type ScopeOptions, scopeOf } from "../kubeconfig/scope.ts";
import { print, printJson, tell } from "../output.ts";
import { type LocalIdentity, localIdentity } from "../proxy/local-identity.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { port, type RelayOptions, relayOf } from "./global-options.ts";

/** All contexts of ours begin so. A relay must not be able to replace others in the user's kubeconfig. */
const CONTEXT_PREFIX = "fairlead-";

/** A cluster's kubeconfig, and the local proxy that it points at. */
export interface ClusterAccess {
  entries: KubeconfigEntries;
  identity: LocalIdentity;
}

/**
 * Asks the relay for the kubeconfig of a cluster with the caller's token, and points it at the local proxy.
 *
 * @param port the local proxy's port, where it is not to be the cluster's own
 * @param scope what the context is to be kept from
 * @throws FairleadError CLUSTER_UNKNOWN, TOKEN_REFUSED, UNREACHABLE, PROTOCOL_VIOLATION
 */
export async function clusterAccess(
  relay: RelayConnection,
  cluster: string,
  { port, scope }: { port?: number | undefined; scope?: Scope | undefined } = {},
): Promise<ClusterAccess> {
  const { contextName, namespace } = await askFor(relay, cluster);
  const kept = await localIdentity(relay.url, cluster);
  const identity = port === undefined ? kept : { ...kept, port };
  return { entries: localEntries(contextName, namespace, identity, scope), identity };
}

/** @throws FairleadError PROTOCOL_VIOLATION for a context that may be another's, and what the relay refuses */
async function askFor(relay: RelayConnection, cluster: string): Promise<GetKubeconfigResponse> {
  const answer = await relay.clusters.getKubeconfig({ cluster });
  if (answer.contextName === CONTEXT_PREFIX + cluster) return answer;
  const sentence = `it names the context ${answer.contextName}, which may be another's in your kubeconfig; it was not written`;
  throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, sentence);
}

/** The entries by which kubectl reaches a cluster without the local proxy. @throws FairleadError as {@link clusterAccess} */
async function directAccess(options: RelayOptions & DirectOptions, cluster: string): Promise<KubeconfigEntries> {
  const relay = relayOf(options);
  const { contextName, namespace, directUrl } = await askFor(relay, cluster);
  const server = directServer(directUrl, relay.url);
  return directEntries(
    contextName,
    options.namespace ?? namespace,
    server,
    relay.tls.ca,
    tokenPlugin(options, relay.url),
  );
}

/** Writes the kubeconfig where the options say. @returns the file */
export async function saveKubeconfig(entries: KubeconfigEntries, file: string | undefined): Promise<string> {
  if (file !== undefined) {
    await writeKubeconfig(file, entries);
    return file;
  }
  const merged = defaultKubeconfig();
  await mergeKubeconfig(merged, entries);
  return merged;
}

/** `fairlead kubeconfig`: the kubeconfig of a cluster, without running its proxy. */
export function kubeconfigCommand(): Command {
  return new Command("kubeconfig")
    .description("print or write a cluster's kubeconfig, which points at `fairlead proxy CLUSTER`, or at the relay")
    .argument("<cluster>", "the cluster")
    .option("--file <file>", "write it to this file (0600)")
    .option("--merge", "put it into your kubeconfig and make it the current context")
    .option(
      "--direct",
      "one that needs no proxy: kubectl asks the relay, with the token that `fairlead get-token` gives",
    )
    .option("--namespace <namespace>", "the context's namespace, with --direct")
    .option("--port <port>", "the proxy's port, where it runs with --port", port)
    .option("--read-only", "a context that can only read: no change, no exec, no port-forward")
    .option("--groups <names>", 'a context for which only these of your groups count, as in dev,ops; "" for none')
    .addHelpText("after", EXAMPLES)
    .action(async (cluster: string, _own: unknown, command: Command) => {
      const options = command.optsWithGlobals<
        RelayOptions & ScopeOptions & DirectOptions & { file?: string; merge?: boolean }
      >();
      const { direct = false, port } = options;
      checkDirect(options);
      const entries = direct
        ? await directAccess(options, cluster)
        : (await clusterAccess(relayOf(options), cluster, { port, scope: scopeOf(options) })).entries;
      if (options.file === undefined && !options.merge) return print(kubeconfigText(entries).trimEnd());
      const file = await saveKubeconfig(entries, options.file);
      if (options.output === "json") printJson({ kubeconfig: file, context: entries.name });
      else {
        const toUse = direct ? "" : ` Run \`fairlead proxy ${cluster}\` to use it.`;
        tell(`Context ${entries.name} is in ${file}.${toUse}`);
      }
    });
}

const EXAMPLES = `
Examples:
  fairlead kubeconfig prod-eu1 --merge
  fairlead kubeconfig prod-eu1 --file ./prod-eu1.conf
  fairlead kubeconfig prod-eu1 --direct --merge      # no proxy to run
  fairlead kubeconfig prod-eu1 --groups dev --merge
  fairlead kubeconfig prod-eu1 --read-only --file ./for-an-agent.conf`;
