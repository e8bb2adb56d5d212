import { spawn } from "node:child_process";
import { isSea } from "node:sea";
import { text } from "node:stream/consumers";
import type { KubernetesObject } from "@kubernetes/client-node";
import { parse, parseAllDocuments, stringify } from "yaml";
import { misuse } from "../misuse.ts";
import { packagedPath } from "../packaged-file.ts";
import { judged, type Look } from "./finding.ts";
import { type Installation, joinSecret, namespaceObject } from "./installation.ts";
import type { TargetCluster } from "./target-cluster.ts";

export const RELEASE = "fairlead";

/** How helm reaches the cluster. */
export interface HelmOptions {
  kubeconfig?: string | undefined;
  context?: string | undefined;
  /** A chart's folder, archive or address; undefined for the one of this checkout. */
  chart?: string | undefined;
  /** A file with more values of the chart's. */
  values?: string | undefined;
}

/** Makes what connects a cluster, and unmakes what it has made. */
export class Installer {
  readonly #cluster: TargetCluster;
  readonly #undo: (() => Promise<unknown>)[] = [];

  constructor(cluster: TargetCluster) {
    this.#cluster = cluster;
  }

  /**
   * Makes objects one after another. Those that were there before are not unmade, and a namespace that was is left as it
   * is: it is somebody else's.
   *
   * @param signal ends it, with its reason
   */
  async apply(objects: readonly KubernetesObject[], signal: AbortSignal): Promise<void> {
    for (const object of objects) {
      signal.throwIfAborted();
      const before = await this.#cluster.read(object);
      if (before && object.kind === "Namespace") continue;
      if (!before) this.#undo.push(() => this.#cluster.remove(object));
      await this.#cluster.apply(object);
    }
  }

  /** Has more undone with it. */
  owe(undo: () => Promise<unknown>): void {
    this.#undo.push(undo);
  }

  /** Whether there is something to undo. */
  get hasMade(): boolean {
    return this.#undo.length > 0;
  }

  /** Makes them by helm: namespace and join token first, and the chart then. */
  async helm(installation: Installation, joinToken: string, options: HelmOptions, signal: AbortSignal): Promise<void> {
    const { namespace } = installation;
    await this.apply([namespaceObject(namespace), joinSecret(namespace, joinToken)], signal);
    this.#undo.push(() => uninstall(namespace, options));
    await helm(["install", ...chartArguments(namespace, options)], options, stringify(helmValues(installation)));
  }

  /** Unmakes what was made, last first, as far as it can be. @returns what could not, and why */
  async undo(): Promise<Error[]> {
    const left: Error[] = [];
    for (const undo of this.#undo.splice(0).reverse()) await undo().catch((error: Error) => left.push(error));
    return left;
  }
}

/**
 * What helm makes of the chart, and its namespace; but for keys, which it makes anew.
 *
 * @throws FairleadError with what is wrong with the chart or the values, or that helm cannot be run
 */
export async function chartObjects(installation: Installation, options: HelmOptions): Promise<KubernetesObject[]> {
  const { namespace } = installation;
  const template = ["template", ...chartArguments(namespace, options)];
  const printed = await helm(template, options, stringify(helmValues(installation)));
  const objects = parseAllDocuments(printed).map((document): KubernetesObject | null => document.toJSON());
  return [namespaceObject(namespace), ...objects.filter((object) => object !== null)];
}

/** Whether helm has a release of the name: it is somebody else's. */
export function releaseLook(namespace: string, options: HelmOptions): Look {
  const fault = `helm has a release ${RELEASE} in the namespace ${namespace} already; give another --namespace`;
  const look = async () => {
    const status = helm(["status", RELEASE, "--namespace", namespace], options, "");
    const found = await status.catch(() => undefined);
    return [judged("release", `helm has no ${RELEASE} there yet`, found === undefined ? undefined : fault)];
  };
  return { checks: ["release"], look };
}

function chartArguments(namespace: string, options: HelmOptions): string[] {
  const more = options.values === undefined ? [] : ["--values", options.values];
  return [RELEASE, chartOf(options), "--namespace", namespace, "--values", "-", ...more];
}

/** @throws FairleadError in an executable of one file, which has no chart in it: helm reads folders and archives */
function chartOf({ chart }: HelmOptions): string {
  if (chart !== undefined) return chart;
  if (isSea()) throw misuse("this executable has no chart in it; give --chart, or connect with --via manifests");
  return packagedPath("../../deploy/charts/fairlead-agent");
}

/** The values of the agent's chart. No secret is among them. */
export function helmValues({ cluster, relayUrl, relayAuthority, authentication, image }: Installation): object {
  const { jwt } = parse(authentication.text);
  const { uids, extraKeys } = authentication.needs;
  return {
    cluster,
    relay: { url: relayUrl, ...(relayAuthority !== undefined && { certificateAuthority: relayAuthority }) },
    authentication: { jwt },
    image,
    identityProxy: { rbac: { uids, extraKeys } },
  };
}

/** Removes a release that helm has made. @throws FairleadError with what helm says if it fails */
export async function uninstall(namespace: string, options: HelmOptions): Promise<void> {
  await helm(["uninstall", RELEASE, "--namespace", namespace, "--ignore-not-found"], options, "");
}

/** @returns what it prints */
async function helm(args: readonly string[], { kubeconfig, context }: HelmOptions, input: string): Promise<string> {
  const where = [
    ...(kubeconfig === undefined ? [] : ["--kubeconfig", kubeconfig]),
    ...(context === undefined ? [] : ["--kube-context", context]),
  ];
  const child = spawn("helm", [...args, ...where], { stdio: ["pipe", "pipe", "pipe"] });
  const { promise: ended, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", reject).once("close", resolve);
  child.stdin.on("error", () => {}); // one that fails at once reads nothing
  child.stdin.end(input);
  const [prints, says] = [text(child.stdout), text(child.stderr)];
  const code = await ended.catch((cause: Error) => {
    throw misuse(`helm cannot be run (${cause.message}); install it, or connect with --via manifests`);
  });
  if (code !== 0) throw misuse(`helm ${args[0]} failed: ${(await says).trim()}`);
  return prints;
}
