import { readFileSync } from "node:fs";
import { hostAndPortOf } from "@fairlead/protocol";
import { addProcessOptions, type Logger, type ServiceCommandOptions } from "@fairlead/service";
import { Command, Option } from "commander";
import type { Peer } from "./agent.ts";
import { FolderStore } from "./enrolment/folder-store.ts";
import type { OwnCluster } from "./enrolment/own-cluster.ts";
import { VERSION } from "./version.ts";

/** What the agent's command line says. */
export interface Options extends ServiceCommandOptions {
  relay: string;
  relayCa?: string;
  joinTokenFile?: string;
  joinServiceAccountTokenFile?: string;
  stateFolder?: string;
  stateSecret?: string;
  identityProxy?: string;
  identityProxyCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  kubeconfig?: string;
  cluster?: string;
  context?: string;
  authentication?: string;
}

/** The command line, without what it does. What a pod needs may come by its environment: `doctor` there finds it too. */
export function agentCommand(): Command {
  const command = new Command("fairlead-agent")
    .description("Dials out from a cluster to the relay and passes what comes to the identity proxy.")
    .version(VERSION)
    .addOption(new Option("--relay <url>", "the relay, https://HOST:PORT").env("FAIRLEAD_RELAY").makeOptionMandatory())
    .addOption(
      new Option("--relay-ca <file>", "authority that signed the relay's certificate; without it, the system's").env(
        "FAIRLEAD_RELAY_CA",
      ),
    )
    .addOption(
      new Option(
        "--join-token-file <file>",
        "a join token, from `fairlead clusters create`, to get the first certificate by",
      ).env("FAIRLEAD_JOIN_TOKEN_FILE"),
    )
    .addOption(
      new Option(
        "--join-service-account-token-file <file>",
        "the token of the agent's own service account, for the audience that `fairlead clusters create` prints, instead",
      ).env("FAIRLEAD_JOIN_SERVICE_ACCOUNT_TOKEN_FILE"),
    )
    .addOption(
      new Option("--state-folder <folder>", "where the agent keeps its key and its certificate, outside a cluster").env(
        "FAIRLEAD_STATE_FOLDER",
      ),
    )
    .addOption(
      new Option("--state-secret <namespace/name>", "the Secret that the agent keeps them in, in a cluster").env(
        "FAIRLEAD_STATE_SECRET",
      ),
    )
    .addOption(
      new Option("--identity-proxy <address>", "unix:PATH, or https://HOST:PORT with mutual TLS").env(
        "FAIRLEAD_IDENTITY_PROXY",
      ),
    )
    .addOption(
      new Option("--identity-proxy-ca <file>", "authority that signed the identity proxy's certificate").env(
        "FAIRLEAD_IDENTITY_PROXY_CA",
      ),
    )
    .addOption(
      new Option("--tls-cert <file>", "the agent's certificate for the identity proxy").env("FAIRLEAD_TLS_CERT"),
    )
    .addOption(new Option("--tls-key <file>", "its key").env("FAIRLEAD_TLS_KEY"))
    .option("--kubeconfig <file>", "outside a cluster: start an identity proxy beside the agent with this kubeconfig")
    .option("--cluster <name>", "with --kubeconfig: the name that the relay has for the cluster")
    .option("--context <name>", "context of the kubeconfig")
    .option("--authentication <file>", "with --kubeconfig: the identity proxy's AuthenticationConfiguration")
    .addHelpText(
      "after",
      "\nExamples:\n  fairlead-agent --relay https://relay.example.com --join-token-file join-token --state-folder /var/lib/fairlead-agent \\\n    --identity-proxy unix:/run/fairlead/identity.sock\n" +
        "  fairlead-agent --relay https://relay.example.com --state-folder state --kubeconfig impersonator.conf --cluster prod-eu1 --authentication auth.yaml",
    );
  return addProcessOptions(command);
}

/** Where the agent keeps what it is, and what it knows of its cluster. @throws Error if that is not said */
export async function stateOf({ stateFolder, stateSecret }: Options, log: Pick<Logger, "warn">): Promise<OwnCluster> {
  if (stateFolder !== undefined && stateSecret === undefined) {
    return { store: new FolderStore(stateFolder), uid: "", nodeCount: async () => 0 };
  }
  if (stateSecret !== undefined && stateFolder === undefined) {
    const { ownCluster } = await import("./enrolment/own-cluster.ts"); // a client for Kubernetes: large, of no use elsewhere
    return ownCluster(stateSecret, log);
  }
  throw new Error(
    "give --state-folder FOLDER, or in a cluster --state-secret NAMESPACE/NAME: what the agent keeps its key in",
  );
}

/** @param address `--identity-proxy`, or where the one beside the agent listens */
export function identityProxyPeer({ identityProxyCa, tlsCert, tlsKey }: Options, address: string | undefined): Peer {
  if (address === undefined) throw new Error("give --identity-proxy ADDRESS, or --kubeconfig outside a cluster");
  if (address.startsWith("unix:")) return { name: address, address: () => ({ path: address.slice("unix:".length) }) };
  if (!tlsCert || !tlsKey) throw new Error("--identity-proxy https://… needs --tls-cert and --tls-key");
  return tlsPeer(address, { ca: identityProxyCa, cert: tlsCert, key: tlsKey });
}

/** A peer by TLS. */
interface TlsPeer extends Peer {
  address(): { host: string; port: number; tls: { ca?: Buffer; cert?: Buffer; key?: Buffer } };
}

/** The relay. @throws Error if its address is none */
export function relayPeer({ relay, relayCa }: Options): TlsPeer {
  return tlsPeer(relay, { ca: relayCa });
}

/** Its files are read anew for each connection. */
function tlsPeer(url: string, files: { ca?: string | undefined; cert?: string; key?: string }): TlsPeer {
  const target = new URL(url);
  if (target.protocol !== "https:") throw new Error(`${url}: an https:// address is due`);
  const read = (name: "ca" | "cert" | "key"): object => {
    const file = files[name];
    return file === undefined ? {} : { [name]: readFileSync(file) };
  };
  return {
    name: target.origin,
    address: () => ({ ...hostAndPortOf(target), tls: { ...read("ca"), ...read("cert"), ...read("key") } }),
  };
}
