import { resolve } from "node:path";
import { openPrivatePort, whenParentIsGone } from "@fairlead/service";
import { Command } from "commander";
import { type ClusterAccess, clusterAccesses, saveKubeconfig } from "../kubeconfig/cluster-access.ts";
import { printJson, tell } from "../output.ts";
import { startInBackground } from "../proxy/background.ts";
import { ownOrJoined } from "../proxy/control/own-or-joined.ts";
import type { Unserved } from "../proxy/proxy-set.ts";
import { readProofKey } from "../relay/read-proof-key.ts";
import { addContextOptions, type ContextOptions, checkSelection, clustersOf } from "./context-options.ts";
import { port, type RelayOptions, relayOf } from "./global-options.ts";
import { showLogs, showStatus, stopProxies } from "./running-proxies.ts";

interface ProxyOptions extends RelayOptions, ContextOptions {
  port?: number;
  private?: string;
  dpopKey?: string;
  background?: boolean;
  status?: boolean;
  stop?: boolean;
  logs?: boolean;
}

/** `fairlead proxy`: the local proxy of clusters, until it is interrupted. */
export function proxyCommand(): Command {
  const command = new Command("proxy")
    .description("run a local proxy for clusters and point kubectl at it")
    .argument("[clusters...]", "the clusters, as `fairlead clusters` lists them")
    .option("--background", "leave it running, and return when it is ready")
    .option("--status", "show what runs, of all relays and logins")
    .option("--stop", "stop what runs, of all relays and logins")
    .option("--logs", "show the log of what runs in the background")
    .option("--port <port>", "listen on this port, not on the cluster's own", port)
    .option("--dpop-key <file>", "the private key (PEM, P-256) that your token is bound to, if it is (DPoP, RFC 9449)")
    .option("--private <address>", "HOST:PORT for /healthz, /readyz and /metrics");
  return addContextOptions(command).addHelpText("after", EXAMPLES).action(runProxy);
}

const EXAMPLES = `
One proxy serves all clusters of a relay: called again, it has the one that runs serve more, and returns.

Examples:
  fairlead proxy prod-eu1                               # kubectl's current context is now fairlead-prod-eu1
  fairlead proxy --all --background                     # a context for each cluster
  fairlead proxy --status
  fairlead proxy --stop
  fairlead proxy prod-eu1 --file ./prod.conf            # then: kubectl --kubeconfig ./prod.conf get pods
  my-token-command | fairlead proxy prod-eu1 --token-file -`;

async function runProxy(named: string[], _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<ProxyOptions>();
  if (options.status) return showStatus(options);
  if (options.stop) return stopProxies(options);
  if (options.logs) return showLogs();
  checkSelection(named, options);
  const relay = relayOf(options);
  const { port, contextName, namespace } = options;
  const wishes = { port, contextName, namespace };
  const asked = await clusterAccesses(relay, await clustersOf(relay, named, options), wishes);
  if (options.background) {
    const accesses = served(asked, await startInBackground(relay, asked, options));
    return tellReady(accesses, await save(accesses, options), options, { isOver: true });
  }
  const dpopKey = options.dpopKey === undefined ? undefined : resolve(options.dpopKey);
  const proofKey = dpopKey === undefined ? undefined : await readProofKey(dpopKey);
  const stop = (): void => process.exit(0);
  const { own: proxies, unserved } = await ownOrJoined({ relay, accesses: asked, proofKey, dpopKey, stopped: stop });
  const accesses = served(asked, unserved);
  const file = await save(accesses, options);
  if (proxies === undefined) return tellReady(accesses, file, options, { isOver: true });
  const end = (): void => proxies.stop();
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
  whenParentIsGone(end);
  const counts = () => proxies.set.counts;
  const privatePort =
    options.private && (await openPrivatePort(options.private, { notReady: () => undefined, counts }));
  const address = privatePort ? privatePort.address() : undefined;
  const own = typeof address === "object" && address ? { private: `http://${address.address}:${address.port}` } : {};
  tellReady(accesses, file, options, { isOver: false, ...own });
}

/** Those that are served; of the others it is told why not. */
function served(accesses: readonly ClusterAccess[], unserved: readonly Unserved[]): ClusterAccess[] {
  for (const { name, reason } of unserved) tell(`Cluster ${name} is not served: ${reason}.`);
  return accesses.filter(({ cluster }) => !unserved.some(({ name }) => name === cluster));
}

function save(accesses: readonly ClusterAccess[], { file }: ProxyOptions): Promise<string> {
  return saveKubeconfig(
    accesses.map(({ entries }) => entries),
    file,
  );
}

/** Says that kubectl can be used. @param how whether this command is over with it, and what more JSON is to have */
function tellReady(
  accesses: readonly ClusterAccess[],
  file: string,
  { output, file: given }: ProxyOptions,
  { isOver, ...more }: { isOver: boolean; private?: string },
): void {
  const [first] = accesses;
  if (first === undefined) return;
  const { entries } = first;
  const contexts = accesses.map(({ entries: { name, cluster } }) => ({ context: name, server: cluster.server }));
  if (output === "json") {
    const one = { server: entries.cluster.server, context: entries.name };
    return printJson({ ready: true, pid: process.pid, ...one, kubeconfig: file, contexts, ...more });
  }
  for (const { cluster, entries: each } of accesses.length > 10 ? [] : accesses) {
    tell(`Cluster ${cluster} is at ${each.cluster.server}; context ${each.name}.`);
  }
  if (accesses.length > 10) tell(`${accesses.length} clusters have contexts.`);
  const how = given ? `--kubeconfig ${file}` : `--context ${entries.name}`;
  tell(`They are in ${file}. Try:\n    kubectl ${how} get pods`);
  tell(isOver ? "`fairlead proxy --status` shows what runs, and --stop ends it." : "Ctrl-C ends it.");
}
