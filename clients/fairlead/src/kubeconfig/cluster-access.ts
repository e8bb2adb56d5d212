import { ErrorCode, FairleadError, type GetKubeconfigResponse, Hop, type Scope } from "@fairlead/protocol";
import { misuse } from "../misuse.ts";
import { type LocalIdentity, localIdentity } from "../proxy/local-identity.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { directEntries, directName, directServer } from "./direct.ts";
import {
  CONTEXT_PREFIX,
  defaultKubeconfig,
  type ExecPlugin,
  type KubeconfigEntries,
  localEntries,
  mergeKubeconfig,
  withOrigin,
  writeKubeconfig,
} from "./kubeconfig.ts";

/** What stands for the cluster's name in a template of context names. */
const PLACEHOLDER = "{cluster}";

/** A cluster's kubeconfig, and the local proxy that it points at. */
export interface ClusterAccess {
  cluster: string;
  entries: KubeconfigEntries;
  identity: LocalIdentity;
}

/** What a context is to be like, where the user says so. */
export interface ContextWishes {
  /** The local proxy's port, where it is not to be the cluster's own. */
  port?: number | undefined;
  /** What the context is to be kept from. */
  scope?: Scope | undefined;
  /** A name with `{cluster}` in it. */
  contextName?: string | undefined;
  namespace?: string | undefined;
}

/**
 * Asks the relay for the kubeconfig of a cluster with the caller's token, and points it at the local proxy.
 *
 * @throws FairleadError CLUSTER_UNKNOWN, TOKEN_REFUSED, UNREACHABLE, PROTOCOL_VIOLATION, MALFORMED_REQUEST
 */
async function clusterAccess(
  relay: RelayConnection,
  cluster: string,
  { port, scope, contextName: template, namespace }: ContextWishes = {},
): Promise<ClusterAccess> {
  const named = await askFor(relay, cluster);
  const name = template === undefined ? named.contextName : contextNameOf(template, cluster);
  const kept = await localIdentity(relay, cluster);
  const identity = port === undefined ? kept : { ...kept, port };
  const entries = localEntries(name, namespace ?? named.namespace, identity, scope);
  return { cluster, entries: withOrigin(entries, { relay: relay.url.origin, cluster }), identity };
}

/**
 * The entries by which kubectl reaches a cluster without the local proxy.
 *
 * @param plugin gives the caller's token
 * @throws FairleadError as {@link clusterAccess}; ACCESS_DENIED if the relay serves no cluster so
 */
export async function directAccess(
  relay: RelayConnection,
  cluster: string,
  { contextName: template, namespace }: Pick<ContextWishes, "contextName" | "namespace">,
  plugin: ExecPlugin,
): Promise<KubeconfigEntries> {
  const named = await askFor(relay, cluster);
  const server = directServer(named.directUrl, relay.url);
  const name = template === undefined ? directName(named.contextName) : contextNameOf(template, cluster);
  const entries = directEntries(name, namespace ?? named.namespace, server, relay.tls.ca, plugin);
  return withOrigin(entries, { relay: relay.url.origin, cluster });
}

/** A relay must not be able to replace other contexts in the user's kubeconfig. @throws FairleadError PROTOCOL_VIOLATION for a context that may be another's, and what the relay refuses */
async function askFor(relay: RelayConnection, cluster: string): Promise<GetKubeconfigResponse> {
  checkClusterName(cluster);
  const answer = await relay.clusters.getKubeconfig({ cluster });
  if (answer.contextName === CONTEXT_PREFIX + cluster) return answer;
  const sentence = `it names the context ${answer.contextName}, which may be another's in your kubeconfig; it was not written`;
  throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, sentence);
}

/** Of several clusters, in the order of their names. @throws the first fault; nothing was written then */
export function clusterAccesses(
  relay: RelayConnection,
  clusters: readonly string[],
  wishes: ContextWishes = {},
): Promise<ClusterAccess[]> {
  const names = distinctNames(clusters, wishes.contextName);
  if (names.length > 1 && wishes.port !== undefined)
    throw misuse("--port is for one cluster; each has a port of its own");
  return Promise.all(names.map((name) => clusterAccess(relay, name, wishes)));
}

/** The clusters, each once. @throws FairleadError MALFORMED_REQUEST for a template that gives all the same name */
export function distinctNames(clusters: readonly string[], template: string | undefined): string[] {
  const names = [...new Set(clusters)].sort();
  if (names.length <= 1 || template === undefined || template.includes(PLACEHOLDER)) return names;
  throw misuse(`--context-name ${template} would be the same for all; write ${PLACEHOLDER} into it`);
}

/** Writes the kubeconfig where the options say. @returns the file */
export async function saveKubeconfig(entries: readonly KubeconfigEntries[], file: string | undefined): Promise<string> {
  if (file !== undefined) {
    await writeKubeconfig(file, entries);
    return file;
  }
  const merged = defaultKubeconfig();
  await mergeKubeconfig(merged, entries);
  return merged;
}

/** A name is part of paths and of what a terminal shows, and may be what a relay said. @throws FairleadError MALFORMED_REQUEST */
function checkClusterName(name: string): void {
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) return;
  throw misuse(`${JSON.stringify(name)} cannot be a cluster's name, which is a DNS label such as prod-eu1`);
}

function contextNameOf(template: string, cluster: string): string {
  if (/^[\w.@:/{}-]+$/.test(template)) return template.replaceAll(PLACEHOLDER, cluster);
  throw misuse(`${template} cannot be a context's name; take letters, digits and . - _ @ : /`);
}
