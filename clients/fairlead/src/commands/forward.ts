import type { ServicePort } from "@fairlead/authorization";
import { sentence } from "@fairlead/http-bridge";
import type { FairleadError } from "@fairlead/protocol";
import { whenParentIsGone } from "@fairlead/service";
import { Command } from "commander";
import { parsePorts, parseService } from "../forward/forward-arguments.ts";
import { ServiceListener } from "../forward/service-listener.ts";
import { ServiceRequests } from "../forward/service-requests.ts";
import { print, printJson, tellError } from "../output.ts";
import { LanePool } from "../proxy/lane-pool.ts";
import { TokenRenewal } from "../proxy/token-renewal.ts";
import { readProofKey } from "../relay/read-proof-key.ts";
import { type RelayOptions, relayOf } from "./global-options.ts";

interface ForwardOptions extends RelayOptions {
  namespace?: string;
  dpopKey?: string;
}

/** `fairlead forward`: ports of this machine that lead to a Service of a cluster, until it is interrupted. */
export function forwardCommand(): Command {
  return new Command("forward")
    .description("listen on this machine and carry each connection to a Service of a cluster")
    .argument("<cluster>", "the cluster, as `fairlead clusters` lists it")
    .argument("<service>", "svc/NAME or svc/NAME.NAMESPACE")
    .argument("<ports...>", "PORT, LOCAL:PORT, or :PORT for any local one; the Service's port, over TCP")
    .option("-n, --namespace <name>", "the Service's namespace (default: default)")
    .option("--dpop-key <file>", "the private key (PEM, P-256) that your token is bound to, if it is (DPoP, RFC 9449)")
    .addHelpText("after", EXAMPLES)
    .action(runForward);
}

const EXAMPLES = `
The cluster's owner lists the Services that can be reached (--service of the identity proxy). You need the rights
"get services" and "create services/proxy" for it in the cluster's RBAC; a read-only rule or context reaches none.
It listens on 127.0.0.1 alone, where every program of this machine can connect.

Examples:
  fairlead forward prod-eu1 svc/web 8080:80                  # http://127.0.0.1:8080 is the Service web
  fairlead forward prod-eu1 svc/postgres.db 5432             # the Service postgres of the namespace db
  fairlead forward prod-eu1 svc/web -n shop 8080:80 8443:443
  fairlead forward prod-eu1 svc/web :80 --output json        # any free port, which the answer names`;

async function runForward(cluster: string, text: string, ports: string[], _own: unknown, command: Command) {
  const options = command.optsWithGlobals<ForwardOptions>();
  const named = parseService(text, options.namespace);
  const pairs = ports.map(parsePorts);
  const relay = relayOf(options);
  const proofKey = options.dpopKey === undefined ? undefined : await readProofKey(options.dpopKey);
  const pool = new LanePool(relay.url, relay.openLanes);
  const requests = new ServiceRequests(cluster, relay.token, proofKey);
  const renewal = new TokenRenewal(pool, relay.token, proofKey);
  const listeners: ServiceListener[] = [];
  const close = (): void => {
    for (const listener of listeners) listener.stop();
    renewal.stop();
    pool.close();
  };
  const stop = (): void => {
    close();
    process.exit(0);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  whenParentIsGone(stop);
  try {
    for (const { remote } of pairs) await askFirst(pool, requests, { ...named, port: remote });
    const forwards = [];
    for (const { local, remote } of pairs) {
      const service = { ...named, port: remote };
      const failed = (error: FairleadError): void => tellError(`svc/${named.name}:${remote}: ${sentence(error)}`);
      const listener = new ServiceListener({ service, requests, pool, renewal, failed });
      listeners.push(listener);
      forwards.push({ address: `127.0.0.1:${await listener.start(local)}`, ...service });
    }
    for (const { address, name, port } of options.output === "json" ? [] : forwards) {
      print(`Forwarding from ${address} -> svc/${name}:${port}`);
    }
    if (options.output === "json") printJson({ ready: true, pid: process.pid, forwards });
  } catch (error) {
    close();
    throw error;
  }
}

/** What would refuse every connection is said at once, and not at the first. */
async function askFirst(pool: LanePool, requests: ServiceRequests, service: ServicePort): Promise<void> {
  const lane = await pool.take(() => false);
  try {
    await requests.ask(service, lane);
  } finally {
    pool.release(lane);
  }
}
