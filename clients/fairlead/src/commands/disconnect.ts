import type { FairleadError } from "@fairlead/protocol";
import type { KubernetesObject } from "@kubernetes/client-node";
import { Command } from "commander";
import {
  IDENTITY_PROXY_DEPLOYMENT,
  installedObjects,
  joinSecret,
  MANAGED_BY,
  namespaceObject,
} from "../connect/installation.ts";
import { RELEASE, uninstall } from "../connect/installer.ts";
import type { TargetCluster } from "../connect/target-cluster.ts";
import { misuse } from "../misuse.ts";
import { printJson, tell } from "../output.ts";
import { step } from "../progress.ts";
import { type RelayOptions, relayOf } from "./global-options.ts";
import { addTargetOptions, type TargetOptions } from "./target-options.ts";

/** `fairlead disconnect`: takes back what `fairlead connect` or helm has made. */
export function disconnectCommand(): Command {
  const command = new Command("disconnect")
    .description("remove what connects a cluster, there and at the relay")
    .argument("<cluster>", "the cluster")
    .addHelpText("after", EXAMPLES);
  return addTargetOptions(command).action(disconnect);
}

const EXAMPLES = `
A cluster that cannot be reached any more is removed at the relay alone: fairlead clusters delete NAME.

Examples:
  fairlead disconnect prod-eu1
  fairlead disconnect prod-eu1 --context prod-eu1-admin`;

async function disconnect(name: string, _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<RelayOptions & TargetOptions>();
  const relay = relayOf(options);
  const { TargetCluster } = await import("../connect/target-cluster.ts"); // a client for Kubernetes: large
  const target = new TargetCluster(options.kubeconfig, options.context);
  const { namespace } = options;
  await relay.clusters.listClusters({}); // before anything is removed: it has to be reached in the end
  const found = await identityProxyOf(target, namespace);
  if (found === undefined) throw notThere(`there is no agent in the namespace ${namespace} of ${target.name}`);
  const cluster = clusterOf(found);
  if (cluster !== name) throw notThere(`${target.name} is connected as ${cluster}, not as ${name}`);
  tell(`Disconnecting ${target.name}, which is ${name} at ${relay.url.origin}:`);
  await step("what connects it", async () => {
    if (found.metadata?.labels?.[MANAGED_BY] === "Helm") {
      await uninstall(namespace, options);
      await target.remove(joinSecret(namespace, ""));
    } else for (const object of await installedObjects(namespace)) await target.remove(object);
    const home = await target.read(namespaceObject(namespace));
    if (home?.metadata?.labels?.[MANAGED_BY] === RELEASE) await target.remove(home);
  });
  await step("the cluster at the relay", () => relay.clusters.deleteCluster({ name }));
  if (options.output === "json") printJson({ disconnected: name });
  else tell(`${name} is disconnected.`);
}

async function identityProxyOf(target: TargetCluster, namespace: string): Promise<KubernetesObject | undefined> {
  const metadata = { name: IDENTITY_PROXY_DEPLOYMENT, namespace };
  return target.read({ apiVersion: "apps/v1", kind: "Deployment", metadata });
}

/** What the identity proxy takes its cluster to be. */
function clusterOf(deployment: KubernetesObject): string {
  const args: unknown[] = Object(deployment).spec?.template?.spec?.containers?.[0]?.args ?? [];
  const [, name = ""] = args.map((argument) => /^--cluster=(.*)$/.exec(String(argument))).find(Boolean) ?? [];
  return name;
}

function notThere(sentence: string): FairleadError {
  return misuse(`${sentence}; give --context or --namespace`);
}
