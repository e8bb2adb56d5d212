#!/usr/bin/env -S node --initial-old-space-size=96 --max-semi-space-size=2
import { existsSync, readFileSync } from "node:fs";
import { hostAndPortOf } from "@fairlead/protocol";
import { addProcessOptions, type Logger, runService, type ServiceCommandOptions } from "@fairlead/service";
import { Command } from "commander";
import { Agent, type Peer } from "./agent.ts";
import { Enrolment } from "./enrolment/enrolment.ts";
import { FolderStore } from "./enrolment/folder-store.ts";
import type { OwnCluster } from "./enrolment/own-cluster.ts";
import { Renewal } from "./enrolment/renewal.ts";
import type { StateStore } from "./enrolment/state-store.ts";
import { startIdentityProxy } from "./identity-proxy-process.ts";

interface Options extends ServiceCommandOptions {
  relay: string;
  relayCa?: string;
  joinTokenFile?: string;
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

const VERSION = "0.1.0";
const command = new Command("fairlead-agent")
  .description("Dials out from a cluster to the relay and passes what comes to the identity proxy.")
  .version(VERSION)
  .requiredOption("--relay <url>", "the relay, https://HOST:PORT")
  .option("--relay-ca <file>", "authority that signed the relay's certificate; without it, the system's")
  .option("--join-token-file <file>", "a join token, from `fairlead clusters create`, to get the first certificate by")
  .option("--state-folder <folder>", "where the agent keeps its key and its certificate, outside a cluster")
  .option("--state-secret <namespace/name>", "the Secret that the agent keeps them in, in a cluster")
  .option("--identity-proxy <address>", "unix:PATH, or https://HOST:PORT with mutual TLS")
  .option("--identity-proxy-ca <file>", "authority that signed the identity proxy's certificate")
  .option("--tls-cert <file>", "the agent's certificate for the identity proxy")
  .option("--tls-key <file>", "its key")
  .option("--kubeconfig <file>", "outside a cluster: start an identity proxy beside the agent with this kubeconfig")
  .option("--cluster <name>", "with --kubeconfig: the name that the relay has for the cluster")
  .option("--context <name>", "context of the kubeconfig")
  .option("--authentication <file>", "with --kubeconfig: the identity proxy's AuthenticationConfiguration")
  .addHelpText(
    "after",
    "\nExamples:\n  fairlead-agent --relay https://relay.example.com --join-token-file join-token --state-folder /var/lib/fairlead-agent \\\n    --identity-proxy unix:/run/fairlead/identity.sock\n" +
      "  fairlead-agent --relay https://relay.example.com --state-folder state --kubeconfig impersonator.conf --cluster prod-eu1 --authentication auth.yaml",
  );

const options = addProcessOptions(command).parse().opts<Options>();
await runService("agent", { private: options.private, graceMs: options.grace * 1000 }, async (log) => {
  const { store, uid: clusterUid, nodeCount } = await stateOf(options, log);
  const relay = tlsPeer(options.relay, { ca: options.relayCa });
  const joinToken = () => readToken(options.joinTokenFile);
  const enrolment = new Enrolment({ relay: () => relay.address(), store, joinToken, clusterUid, log });
  await checkCanJoin(store, joinToken);
  const beside = besideIdentityProxy(options);
  const renewal = new Renewal(enrolment, log);
  const agent = new Agent({
    relay,
    identityProxy: identityProxyPeer(options, beside?.address ?? options.identityProxy),
    enrolment,
    clusterUid,
    nodeCount,
    version: VERSION,
    log,
  });
  agent.start();
  renewal.start();
  let stopping = false;
  void beside?.ended.then((code) => {
    if (stopping) return;
    log.fatal({ code }, "the identity proxy beside the agent has ended");
    process.exit(1);
  });
  return {
    ready: { relay: options.relay },
    notReady: () => agent.problem,
    counts: () => agent.counts,
    stop: async (graceMs) => {
      stopping = true;
      renewal.stop();
      await agent.stop(graceMs);
      await beside?.stop();
    },
  };
});

async function stateOf({ stateFolder, stateSecret }: Options, log: Logger): Promise<OwnCluster> {
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

/** Else the agent would wait for ever, and nobody would look. @throws Error if it has no certificate and cannot get one */
async function checkCanJoin(store: StateStore, joinToken: () => string | undefined): Promise<void> {
  const { state } = await store.load();
  if (state.certificate !== undefined || joinToken() !== undefined) return;
  throw new Error(
    "the agent has not joined yet: give --join-token-file FILE, and there what `fairlead clusters create` prints",
  );
}

/** An agent that has joined needs none: the file may be gone. @throws Error that never has a part of the token in it */
function readToken(file: string | undefined): string | undefined {
  if (file === undefined || !existsSync(file)) return undefined;
  const token = readFileSync(file, "utf8").trim();
  if (!/^flj_[\w-]+$/.test(token)) throw new Error(`what is in ${file} is not a join token`);
  return token;
}

function besideIdentityProxy({ kubeconfig, cluster, authentication, identityProxy, context }: Options) {
  if (kubeconfig === undefined) return undefined;
  if (identityProxy !== undefined) throw new Error("give --identity-proxy or --kubeconfig, not both");
  if (authentication === undefined) throw new Error("--kubeconfig needs --authentication: whose tokens count");
  if (cluster === undefined)
    throw new Error("--kubeconfig needs --cluster: the name that the relay has for the cluster");
  return startIdentityProxy({ kubeconfig, cluster, authentication, context });
}

function identityProxyPeer({ identityProxyCa, tlsCert, tlsKey }: Options, address: string | undefined): Peer {
  if (address === undefined) throw new Error("give --identity-proxy ADDRESS, or --kubeconfig outside a cluster");
  if (address.startsWith("unix:")) return { name: address, address: () => ({ path: address.slice("unix:".length) }) };
  if (!tlsCert || !tlsKey) throw new Error("--identity-proxy https://… needs --tls-cert and --tls-key");
  return tlsPeer(address, { ca: identityProxyCa, cert: tlsCert, key: tlsKey });
}

function tlsPeer(url: string, files: { ca?: string | undefined; cert?: string; key?: string }): Peer {
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
