import { readFileSync } from "node:fs";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { Command, InvalidArgumentError, Option } from "commander";
import { stringify } from "yaml";
import {
  AGENT_PODS,
  type Installation,
  installationObjects,
  joinSecret,
  namespaceObject,
} from "../connect/installation.ts";
import { helmValues, Installer } from "../connect/installer.ts";
import { preflight } from "../connect/preflight.ts";
import type { TargetCluster } from "../connect/target-cluster.ts";
import { untilConnected } from "../connect/until-connected.ts";
import { print, printJson, tell } from "../output.ts";
import { step } from "../progress.ts";
import { VERSION } from "../version.ts";
import { toJson } from "./cluster-output.ts";
import { collect, parseLabels, type RelayOptions, relayOf } from "./global-options.ts";
import { addTargetOptions, type TargetOptions } from "./target-options.ts";

interface ConnectOptions extends RelayOptions, TargetOptions {
  authentication: string;
  label: string[];
  clusterRelay?: string;
  imageRepository: string;
  imageTag: string;
  imagePullPolicy: string;
  via: "helm" | "manifests";
  values?: string;
  timeout: number;
  dryRun?: boolean;
}

/** `fairlead connect`: from an operator's kubeconfig to a cluster that its people reach through the relay. */
export function connectCommand(): Command {
  const command = new Command("connect")
    .description("connect a cluster to the relay, from a kubeconfig that may administrate it")
    .argument("<name>", "what the cluster is to be called at the relay: a DNS label, such as prod-eu1")
    .requiredOption("--authentication <file>", "AuthenticationConfiguration: whose tokens count in the cluster")
    .option("--label <key=value>", "a label for access rules; may be repeated", collect, [])
    .option("--cluster-relay <url>", "the relay as the cluster reaches it, if by another address than you")
    .option("--image-repository <prefix>", "where its nodes get the images from", "fairlead.dev")
    .option("--image-tag <tag>", "which", VERSION)
    .option("--image-pull-policy <policy>", "Always, IfNotPresent or Never", "IfNotPresent")
    .addOption(
      new Option("--via <means>", "how the objects are made").choices(["manifests", "helm"]).default("manifests"),
    )
    .option("--values <file>", "with helm: more values of the chart's")
    .option("--timeout <seconds>", "how long to wait until requests get through", seconds, 120)
    .option("--dry-run", "print what would be made, with keys for the link between the pods, and make nothing")
    .addHelpText("after", EXAMPLES);
  return addTargetOptions(command).action(connect);
}

const EXAMPLES = `
Nothing is left behind when it fails or is interrupted.

Examples:
  fairlead connect prod-eu1 --authentication auth.yaml --label env=prod
  fairlead connect prod-eu1 --authentication auth.yaml --context prod-eu1-admin --via helm
  fairlead connect prod-eu1 --authentication auth.yaml --dry-run > prod-eu1.yaml`;

async function connect(name: string, _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<ConnectOptions>();
  const relay = relayOf(options);
  const installation = installationFor(name, options, relay.url.origin);
  const objects = await usable(options.authentication, () => installationObjects(installation));
  if (options.dryRun) return printPlan(installation, options.via, objects);
  const { TargetCluster } = await import("../connect/target-cluster.ts"); // a client for Kubernetes: large
  const target = new TargetCluster(options.kubeconfig, options.context);
  tell(`Connecting ${target.name} to ${relay.url.origin} as ${name}:`);
  await step("the relay takes you in", () => relay.clusters.listClusters({}));
  await step("the cluster can be connected", () => preflight(target, objects));
  const labels = parseLabels(options.label);
  const { joinToken } = await step("a join token", () => relay.clusters.createCluster({ name, labels }));
  const token = joinToken?.token ?? "";
  const installer = new Installer(target);
  const interrupted = new AbortController();
  const reason = new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "interrupted");
  process.once("SIGINT", () => interrupted.abort(reason)); // a second one ends it at once
  const { namespace } = options;
  try {
    await step(`what connects it, in the namespace ${namespace}`, () =>
      options.via === "helm"
        ? installer.helm(installation, token, options)
        : installer.apply([namespaceObject(namespace), joinSecret(namespace, token), ...objects]),
    );
    const told = (line: string) => tell(`    ${line}`);
    const timeoutMs = options.timeout * 1_000;
    const wait = () => untilConnected(relay, name, told, timeoutMs, interrupted.signal);
    const cluster = await step("requests get through", wait);
    if (options.output === "json") return printJson(toJson(cluster));
    tell(`${name} is connected: Kubernetes ${cluster.kubernetesVersion}. Try: fairlead proxy ${name}`);
  } catch (error) {
    await tellTroubles(target, namespace).catch(() => {}); // what failed is told by the error itself
    await step("nothing is left behind", async () => {
      await installer.undo();
      await relay.clusters.deleteCluster({ name });
    });
    throw error;
  }
}

/** What does not run and why, and what the doctor says from inside the cluster: names, ways out, certificates. */
async function tellTroubles(target: TargetCluster, namespace: string): Promise<void> {
  for (const trouble of await target.troubles(namespace)) tell(`  ${trouble}`);
  const said = await target.runIn(namespace, AGENT_PODS, ["/usr/bin/node", "/app/main.js", "doctor"]);
  if (said !== undefined) tell(`  the doctor says in the agent's pod:\n${said.trimEnd().replaceAll(/^/gm, "    ")}`);
}

function installationFor(cluster: string, options: ConnectOptions, relayUrl: string): Installation {
  const { namespace, relayCa, imageRepository, imageTag, imagePullPolicy, clusterRelay = relayUrl } = options;
  return {
    ...{ cluster, namespace, relayUrl: clusterRelay },
    relayAuthority: relayCa === undefined ? undefined : readText("--relay-ca", relayCa),
    authentication: readText("--authentication", options.authentication),
    image: { repository: imageRepository, tag: imageTag, pullPolicy: imagePullPolicy },
  };
}

/** What would be made, but for the join token, which would count from now on. */
function printPlan(installation: Installation, via: ConnectOptions["via"], objects: readonly object[]): void {
  const { cluster, namespace } = installation;
  const before = [
    `# Before: kubectl create namespace ${namespace}`,
    `#         kubectl create secret generic fairlead-join-token --namespace ${namespace} \\`,
    `#           --from-literal=token="$(fairlead clusters create ${cluster})"`,
  ].join("\n");
  const parts = via === "helm" ? [helmValues(installation)] : [namespaceObject(namespace), ...objects];
  print(`${before}\n${parts.map((each) => stringify(each, { lineWidth: 0 })).join("---\n")}`.trimEnd());
}

function readText(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, `${option}: ${(cause as Error).message}`);
  }
}

async function usable<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const sentence = `--authentication: ${file}: ${cause instanceof Error ? cause.message : cause}`;
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, sentence, { cause });
  }
}

function seconds(value: string): number {
  if (!/^[1-9]\d*$/.test(value)) throw new InvalidArgumentError("a whole number of seconds is due");
  return Number(value);
}
