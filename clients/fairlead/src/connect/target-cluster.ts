import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import {
  ApiException,
  AuthorizationV1Api,
  CoreV1Api,
  Exec,
  type KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  PatchStrategy,
  VersionApi,
} from "@kubernetes/client-node";
import { clusterConfig, refused } from "./cluster-config.ts";
import { AGENT_CONTAINER } from "./installation.ts";
import { parsed } from "./parsed.ts";

const FIELD_MANAGER = "fairlead";
/** How long a program in a pod may take, in milliseconds. */
const PROGRAM_MS = 30_000;

/** A right that a connection needs. */
export interface Right {
  verb: string;
  group: string;
  resource: string;
  namespace?: string;
}

/** What a cluster says of itself. */
export interface ClusterFacts {
  /** Such as v1.36.3. */
  version: string;
  /** How far its clock is before ours, in milliseconds; undefined if it does not tell. */
  clockAheadMs: number | undefined;
}

/** The cluster that is to be connected, as its operator reaches it now. */
export class TargetCluster {
  readonly #config: KubeConfig;
  readonly #objects: KubernetesObjectApi;

  /**
   * @param file the operator's kubeconfig; undefined for $KUBECONFIG or ~/.kube/config
   * @param context its context; undefined for the current one
   * @throws FairleadError MALFORMED_REQUEST if it names no cluster
   */
  constructor(file: string | undefined, context: string | undefined) {
    this.#config = clusterConfig(file, context);
    this.#objects = KubernetesObjectApi.makeApiClient(this.#config);
  }

  /** The context's name. */
  get name(): string {
    return this.#config.getCurrentContext();
  }

  /** @throws FairleadError UNREACHABLE if the cluster cannot be asked */
  async facts(): Promise<ClusterFacts> {
    const { data, headers } = await this.#ask(this.#config.makeApiClient(VersionApi).getCodeWithHttpInfo({}));
    const date = Date.parse(headers.date ?? "");
    return { version: data.gitVersion, clockAheadMs: Number.isNaN(date) ? undefined : date - Date.now() };
  }

  /** Those of the rights that the operator has not. */
  async missing(rights: readonly Right[]): Promise<Right[]> {
    const api = this.#config.makeApiClient(AuthorizationV1Api);
    const answers = await Promise.all(
      rights.map(async (right) => {
        const spec = { resourceAttributes: right };
        const review = await this.#ask(api.createSelfSubjectAccessReview({ body: { spec } }));
        return review.status?.allowed ?? false;
      }),
    );
    return rights.filter((_, i) => !answers[i]);
  }

  /** An object as it is there; undefined if it is not. */
  async read(object: KubernetesObject): Promise<KubernetesObject | undefined> {
    try {
      return await this.#objects.read(headerOf(object));
    } catch (error) {
      if (error instanceof ApiException && error.code === 404) return undefined;
      throw refused(error);
    }
  }

  /** Makes an object, or makes it what is said. */
  async apply(object: KubernetesObject): Promise<void> {
    const { ServerSideApply } = PatchStrategy;
    await this.#ask(this.#objects.patch(object, undefined, undefined, FIELD_MANAGER, true, ServerSideApply));
  }

  /** Removes an object, if it is there, and what belongs to it. */
  async remove(object: KubernetesObject): Promise<void> {
    const header = headerOf(object) as KubernetesObject;
    try {
      await this.#objects.delete(header, undefined, undefined, undefined, undefined, "Background");
    } catch (error) {
      if (!(error instanceof ApiException && error.code === 404)) throw refused(error);
    }
  }

  /** Why pods of a namespace do not run, as far as can be seen: a line for each, with the end of its log. */
  async troubles(namespace: string): Promise<string[]> {
    const api = this.#config.makeApiClient(CoreV1Api);
    const { items } = await this.#ask(api.listNamespacedPod({ namespace }));
    const lines = items.map(async ({ metadata, status }) => {
      const name = metadata?.name ?? "";
      const [container] = status?.containerStatuses ?? [];
      if (container?.ready) return [];
      const { waiting, terminated } = { ...container?.state };
      const unscheduled = status?.conditions?.find(({ status }) => status === "False")?.message;
      const state = waiting?.message ?? waiting?.reason ?? terminated?.reason ?? unscheduled ?? status?.phase ?? "";
      const log = await api.readNamespacedPodLog({ namespace, name, tailLines: 1 }).catch(() => "");
      return [`pod ${name}: ${[state, said(log)].filter((text) => text !== "").join("; it says: ")}`];
    });
    return (await Promise.all(lines)).flat();
  }

  /** What the agent's container of a pod has printed. */
  async logOf({ metadata }: KubernetesObject): Promise<string> {
    const { name = "", namespace = "" } = metadata ?? {};
    const api = this.#config.makeApiClient(CoreV1Api);
    return this.#ask(api.readNamespacedPodLog({ namespace, name, container: AGENT_CONTAINER }));
  }

  /**
   * Runs a program in a pod that runs.
   *
   * @param pods a label selector; the first that runs is taken
   * @returns what it prints within 30 s; undefined if no such pod runs
   */
  async runIn(namespace: string, pods: string, command: string[]): Promise<string | undefined> {
    const api = this.#config.makeApiClient(CoreV1Api);
    const { items } = await this.#ask(api.listNamespacedPod({ namespace, labelSelector: pods }));
    const pod = items.find(({ status }) => status?.containerStatuses?.[0]?.state?.running)?.metadata?.name;
    if (pod === undefined) return undefined;
    const output = new PassThrough();
    const printed = text(output);
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const exec = new Exec(this.#config);
    const socket = await exec.exec(namespace, pod, AGENT_CONTAINER, command, output, null, null, false, () =>
      resolve(),
    );
    socket.on("close", () => resolve());
    const timer = setTimeout(resolve, PROGRAM_MS);
    await ended;
    clearTimeout(timer);
    socket.close();
    output.end();
    return printed;
  }

  async #ask<T>(asked: Promise<T>): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      throw refused(error);
    }
  }
}

/** What a line of a service's log says, which is JSON; other lines as they are. */
function said(line: string): string {
  const { msg, err, reason } = Object(parsed(line));
  if (msg === undefined) return line.trim();
  return [msg, err?.message ?? reason].filter((part) => typeof part === "string").join(": ");
}

function headerOf({ apiVersion = "", kind = "", metadata }: KubernetesObject) {
  const { name = "", namespace = "" } = metadata ?? {};
  return { apiVersion, kind, metadata: { name, namespace } };
}
