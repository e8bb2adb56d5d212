import { openPrivatePort, whenParentIsGone } from "@fairlead/service";
import { Command } from "commander";
import { printJson, tell } from "../output.ts";
import { LanePool } from "../proxy/lane-pool.ts";
import { LocalProxy } from "../proxy/local-proxy.ts";
import { readProofKey } from "../relay/read-proof-key.ts";
import { port, type RelayOptions, relayOf } from "./global-options.ts";
import { clusterAccess, saveKubeconfig } from "./kubeconfig.ts";

interface ProxyOptions extends RelayOptions {
  file?: string;
  port?: number;
  private?: string;
  dpopKey?: string;
}

/** `fairlead proxy`: the local proxy of one cluster, until it is interrupted. */
export function proxyCommand(): Command {
  return new Command("proxy")
    .description("run a local proxy for a cluster and point kubectl at it")
    .argument("<cluster>", "the cluster, as `fairlead clusters` lists it")
    .option("--file <file>", "write the kubeconfig to this file (0600), not into your own")
    .option("--port <port>", "listen on this port, not on the cluster's own", port)
    .option("--dpop-key <file>", "the private key (PEM, P-256) that your token is bound to, if it is (DPoP, RFC 9449)")
    .option("--private <address>", "HOST:PORT for /healthz, /readyz and /metrics")
    .addHelpText("after", EXAMPLES)
    .action(runProxy);
}

const EXAMPLES = `
Examples:
  fairlead proxy prod-eu1 --token-file ~/token          # kubectl's current context is now prod-eu1
  fairlead proxy prod-eu1 --file ./prod.conf            # then: kubectl --kubeconfig ./prod.conf get pods
  get-token | fairlead proxy prod-eu1 --token-file -`;

async function runProxy(cluster: string, _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<ProxyOptions>();
  const relay = relayOf(options);
  const { entries, identity } = await clusterAccess(relay, cluster, { port: options.port });
  const pool = new LanePool(relay.url, relay.openLanes);
  const proofKey = options.dpopKey === undefined ? undefined : await readProofKey(options.dpopKey);
  const proxy = new LocalProxy(cluster, identity, pool, relay.token, proofKey);
  await proxy.start();
  const file = await saveKubeconfig(entries, options.file);
  const counts = () => ({ ...pool.counts, sockets: proxy.socketCount });
  const privatePort =
    options.private && (await openPrivatePort(options.private, { notReady: () => undefined, counts }));
  const address = privatePort ? privatePort.address() : undefined;
  const stop = (): void => {
    proxy.stop();
    pool.close();
    process.exit(0);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  whenParentIsGone(stop);
  const { server } = entries.cluster;
  if (options.output === "json") {
    const own = typeof address === "object" && address ? { private: `http://${address.address}:${address.port}` } : {};
    return printJson({ ready: true, pid: process.pid, server, kubeconfig: file, context: entries.name, ...own });
  }
  tell(`Cluster ${cluster} is at ${server}; context ${entries.name} is in ${file}.`);
  tell(
    `Try:  kubectl ${options.file ? `--kubeconfig ${file}` : `--context ${entries.name}`} get pods\nCtrl-C ends it.`,
  );
}
