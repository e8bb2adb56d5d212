import { readFileSync } from "node:fs";
import { type Cluster, ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { KubernetesObject } from "@kubernetes/client-node";
import { Command, InvalidArgumentError, Option } from "commander";
import { stringify } from "yaml";
import { insideLook } from "../connect/inside-look.ts";
import { AGENT_PODS, type Installation, installationObjects, joinSecret } from "../connect/installation.ts";
import { chartObjects, helmValues, Installer, RELEASE, releaseLook } from "../connect/installer.ts";
import { preflight } from "../connect/preflight.ts";
import type { TargetCluster } from "../connect/target-cluster.ts";
import { untilConnected } from "../connect/until-connected.ts";
import { misuse } from "../misuse.ts";
import { print, printJson, tell } from "../output.ts";
import { step } from "../progress.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { VERSION } from "../version.ts";
import { readAuthentication } from "./authentication-file.ts";
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
  chart?: string;
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
    .option("--chart <chart>", "with helm: the agent's chart (default: the one of this checkout)")
    .option("--values <file>", "with helm: more values of the chart's")
    .option("--timeout <seconds>", "how long to wait until requests get through", seconds, 120)
    .option("--dry-run", "make nothing, and print the objects, keys among them; with helm the values of the chart")
    .addHelpText("after", EXAMPLES);
  return addTargetOptions(command).action(connect);
}

const EXAMPLES = `
It looks first whether the cluster can be connected, with a pod there that tries the way to the relay, and tells each check.
What it has made is taken back when it fails or is interrupted.

Connect with --via helm if you will upgrade by helm: the release is called ${RELEASE}. What is made with manifests, helm cannot
upgrade: change its images by kubectl set image, and all else by fairlead disconnect and connecting again.

Examples:
  fairlead connect prod-eu1 --authentication auth.yaml --label env=prod
  fairlead connect prod-eu1 --authentication auth.yaml --context prod-eu1-admin --via helm
  fairlead connect prod-eu1 --authentication auth.yaml --dry-run > prod-eu1.yaml`;

async function connect(name: string, _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<ConnectOptions>();
  const relay = relayOf(options);
  const labels = parseLabels(options.label);
  const installation = await installationFor(name, options, relay.url.origin);
  if (options.dryRun) return printPlan(options, installation, await installationObjects(installation));
  const { TargetCluster } = await import("../connect/target-cluster.ts"); // a client for Kubernetes: large
  const target = new TargetCluster(options.kubeconfig, options.context);
  tell(`Connecting ${target.name} to ${relay.url.origin} as ${name}:`);
  await step("the relay takes you in", () => relay.clusters.listClusters({}));
  const objects =
    options.via === "helm"
      ? await step("helm takes the chart and its values", () => chartObjects(installation, options))
      : await installationObjects(installation);
  const { signal } = interruption();
  const installer = new Installer(target);
  const connection = { relay, target, installer, installation, labels, objects, options, signal };
  const more = [...(options.via === "helm" ? [releaseLook(options.namespace, options)] : []), insideLook(connection)];
  try {
    await step("the cluster can be connected", (told) => preflight(target, { objects, more, told, signal }));
    const cluster = await makeConnection(connection);
    if (options.output === "json") return printJson(toJson(cluster));
    tell(`${name} is connected: Kubernetes ${cluster.kubernetesVersion}. Try: fairlead proxy ${name}`);
  } catch (error) {
    if (installer.hasMade) await takeBack(installer);
    throw error;
  }
}

/** A connection that is being made. */
interface Connection {
  relay: RelayConnection;
  target: TargetCluster;
  installer: Installer;
  installation: Installation;
  labels: ReturnType<typeof parseLabels>;
  objects: readonly KubernetesObject[];
  options: ConnectOptions;
  signal: AbortSignal;
}

/** Makes the cluster at the relay and what connects it, and waits until requests get through; else tells what does not run. */
async function makeConnection({ relay, target, installer, ...connection }: Connection): Promise<Cluster> {
  const { installation, labels, objects, options, signal } = connection;
  const { cluster: name, namespace } = installation;
  const { joinToken } = await step("a join token", () => relay.clusters.createCluster({ name, labels }));
  installer.owe(() => relay.clusters.deleteCluster({ name }));
  const token = joinToken?.token ?? "";
  try {
    await step(`what connects it, in the namespace ${namespace}`, () =>
      options.via === "helm"
        ? installer.helm(installation, token, options, signal)
        : installer.apply([...objects.slice(0, 1), joinSecret(namespace, token), ...objects.slice(1)], signal),
    );
    return await step("requests get through", (told) =>
      untilConnected(relay, name, told, options.timeout * 1_000, signal),
    );
  } catch (error) {
    if (!signal.aborted) await tellTroubles(target, namespace).catch(() => {}); // what failed is told by the error itself
    throw error;
  }
}

async function takeBack(installer: Installer): Promise<void> {
  const left = await step("what was made is taken back", () => installer.undo());
  for (const { message } of left) tell(`  something is left: ${message}`);
}

/** What a first signal asks for; a second one ends the process at once. */
function interruption(): AbortController {
  const interrupted = new AbortController();
  const reason = new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "interrupted");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => interrupted.abort(reason));
  return interrupted;
}

/** What does not run and why, and what the doctor says from inside the cluster: names, ways out, certificates. */
async function tellTroubles(target: TargetCluster, namespace: string): Promise<void> {
  for (const trouble of await target.troubles(namespace)) tell(`  ${trouble}`);
  const said = await target.runIn(namespace, AGENT_PODS, ["node", "/app/main.js", "doctor"]);
  if (said !== undefined) tell(`  the doctor says in the agent's pod:\n${said.trimEnd().replaceAll(/^/gm, "    ")}`);
}

async function installationFor(cluster: string, options: ConnectOptions, relayUrl: string): Promise<Installation> {
  const { namespace, relayCa, imageRepository, imageTag, imagePullPolicy, clusterRelay = relayUrl } = options;
  return {
    ...{ cluster, namespace, relayUrl: clusterRelay },
    relayAuthority: relayCa === undefined ? undefined : readRelayCa(relayCa),
    authentication: await readAuthentication(options.authentication),
    image: { repository: imageRepository, tag: imageTag, pullPolicy: imagePullPolicy },
  };
}

/** What would be made, but for the join token, which would count from now on. */
function printPlan(options: ConnectOptions, installation: Installation, objects: readonly object[]): void {
  const { cluster, namespace } = installation;
  const labels = options.label.map((label) => ` --label ${label}`).join("");
  const before = [
    `# Before: kubectl create namespace ${namespace}`,
    `#         fairlead clusters create ${cluster}${labels} | kubectl create secret generic fairlead-join-token \\`,
    `#           --namespace ${namespace} --from-file=token=/dev/stdin`,
  ].join("\n");
  const parts = options.via === "helm" ? [helmValues(installation)] : objects;
  print(`${before}\n${parts.map((each) => stringify(each, { lineWidth: 0 })).join("---\n")}`.trimEnd());
}

function readRelayCa(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw misuse(`--relay-ca: ${(cause as Error).message}`);
  }
}

function seconds(value: string): number {
  if (!/^[1-9]\d*$/.test(value)) throw new InvalidArgumentError("a whole number of seconds is due");
  return Number(value);
}
