import { impersonationRules } from "@fairlead/authorization";
import { CertificateAuthority } from "@fairlead/certificates";
import type { KubernetesObject } from "@kubernetes/client-node";
import { parseAllDocuments } from "yaml";
import type { AuthenticationFile } from "../commands/authentication-file.ts";
import { packagedFile } from "../packaged-file.ts";

/** How long agent and identity proxy know each other by the certificates that are made here, in days. As in the chart. */
const LINK_DAYS = 3_650;
/** Objects' names, as the chart makes them for a release `fairlead`. */
const RELEASE = "fairlead";
export const AGENT_DEPLOYMENT = `${RELEASE}-agent`;
/** In each of its pods. */
export const AGENT_CONTAINER = "agent";
export const AGENT_PODS = "app.kubernetes.io/name=fairlead-agent";
export const IDENTITY_PROXY_DEPLOYMENT = `${RELEASE}-identity-proxy`;
const JOIN_SECRET = "fairlead-join-token";
export const MANAGED_BY = "app.kubernetes.io/managed-by";

/** What connects a cluster. */
export interface Installation {
  cluster: string;
  namespace: string;
  /** The relay as the cluster reaches it. */
  relayUrl: string;
  /** PEM of the authority that signed its certificate; undefined for those that the image trusts. */
  relayAuthority: string | undefined;
  authentication: AuthenticationFile;
  image: { repository: string; tag: string; pullPolicy: string };
}

/** An object of any kind. */
type Manifest = KubernetesObject & { rules?: object[]; data?: Record<string, string>; spec?: PodOwner };
interface PodOwner {
  template?: { spec: { containers: Container[]; volumes: { name: string }[] } };
}
interface Container {
  env: { name: string }[];
  volumeMounts: { name: string }[];
}

/**
 * The objects that connect a cluster, in the order in which they are to be made: those of the agent's chart, the
 * namespace, and certificates by which agent and identity proxy know each other. The join token is not among them.
 */
export async function installationObjects(installation: Installation): Promise<KubernetesObject[]> {
  const { cluster, namespace, relayUrl, authentication, image } = installation;
  const rules = impersonationRules(authentication.needs);
  const places: [placeholder: string, value: string][] = [
    ["placeholder-cluster", cluster],
    ["placeholder-namespace", namespace],
    ["https://placeholder-relay", relayUrl],
    ["placeholder-repository", image.repository],
    ["placeholder-tag", image.tag],
    ["IfNotPresent", image.pullPolicy],
    ["-----BEGIN CERTIFICATE-----\nplaceholder", installation.relayAuthority ?? ""],
  ];
  const filled = (await readManifests()).map((manifest) => filledIn(manifest, places));
  for (const manifest of filled) {
    const { kind, metadata, data } = manifest;
    if (metadata?.labels) metadata.labels[MANAGED_BY] = RELEASE;
    if (kind === "ClusterRole" && metadata?.name?.endsWith("identity-proxy")) manifest.rules = rules;
    if (data?.["authentication.yaml"]) data["authentication.yaml"] = authentication.text;
  }
  const all = [namespaceObject(namespace), ...(await linkSecrets(namespace)), ...filled];
  return installation.relayAuthority === undefined ? withoutRelayAuthority(all) : all;
}

/** The Secret with the join token, which counts once. */
export function joinSecret(namespace: string, token: string): KubernetesObject {
  return secret(namespace, JOIN_SECRET, { token }, "Opaque");
}

/**
 * What {@link installationObjects} and {@link joinSecret} make, by kind and name, in the order in which it is to be removed:
 * last the deployment by which a cluster is known to be connected, so that what was left half done can be done again.
 */
export async function installedObjects(namespace: string): Promise<KubernetesObject[]> {
  const links = ["agent", "identity-proxy"].map((part) => secret(namespace, `${RELEASE}-${part}-link`, {}, ""));
  const manifests = (await readManifests()).map((manifest) =>
    filledIn(manifest, [["placeholder-namespace", namespace]]),
  );
  const all = [...links, joinSecret(namespace, ""), ...manifests].reverse();
  const isMark = ({ kind, metadata }: KubernetesObject): boolean =>
    kind === "Deployment" && metadata?.name === IDENTITY_PROXY_DEPLOYMENT;
  return [...all.filter((each) => !isMark(each)), ...all.filter(isMark)];
}

async function readManifests(): Promise<Manifest[]> {
  return parseAllDocuments(await packagedFile("manifests/agent.yaml")).map((document): Manifest => document.toJSON());
}

/** Puts values in the place of placeholders, wherever they stand. */
function filledIn<T>(value: T, places: readonly [string, string][]): T {
  if (typeof value === "string") {
    return places.reduce<string>((text, [placeholder, put]) => text.replaceAll(placeholder, () => put), value) as T;
  }
  if (Array.isArray(value)) return value.map((each) => filledIn(each, places)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filledIn(each, places)])) as T;
}

/** The agent then trusts what its image trusts. */
function withoutRelayAuthority(objects: readonly Manifest[]): Manifest[] {
  const kept = objects.filter(({ kind, metadata }) => !(kind === "ConfigMap" && metadata?.name === AGENT_DEPLOYMENT));
  for (const { kind, metadata, spec } of kept) {
    const pod = spec?.template?.spec;
    const [container] = pod?.containers ?? [];
    if (kind !== "Deployment" || metadata?.name !== AGENT_DEPLOYMENT || !pod || !container) continue;
    container.env = container.env.filter(({ name }) => name !== "FAIRLEAD_RELAY_CA");
    container.volumeMounts = container.volumeMounts.filter(({ name }) => name !== "relay");
    pod.volumes = pod.volumes.filter(({ name }) => name !== "relay");
  }
  return kept;
}

async function linkSecrets(namespace: string): Promise<KubernetesObject[]> {
  const authority = await CertificateAuthority.create("fairlead-link", LINK_DAYS);
  const host = `${RELEASE}-identity-proxy.${namespace}.svc`;
  const parts: [name: string, hosts: string[]][] = [
    ["agent", []],
    ["identity-proxy", [host]],
  ];
  return Promise.all(
    parts.map(async ([part, hosts]) => {
      const { cert, key } = await authority.issue({ commonName: part, hosts, days: LINK_DAYS });
      const files = { "ca.crt": authority.pem, "tls.crt": cert, "tls.key": key };
      return secret(namespace, `${RELEASE}-${part}-link`, files, "kubernetes.io/tls");
    }),
  );
}

/** The namespace of what connects a cluster: for pods that are restricted. */
export function namespaceObject(name: string): KubernetesObject {
  const labels = { ...own, "pod-security.kubernetes.io/enforce": "restricted" };
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

function secret(namespace: string, name: string, stringData: Record<string, string>, type: string): KubernetesObject {
  const object = { apiVersion: "v1", kind: "Secret", metadata: { name, namespace, labels: own }, type, stringData };
  return object;
}

const own = { [MANAGED_BY]: RELEASE, "app.kubernetes.io/part-of": RELEASE };
