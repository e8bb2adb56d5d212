import { createHash } from "node:crypto";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type Cluster, ClusterState } from "@fairlead/protocol";
import { stateName } from "../commands/cluster-output.ts";
import { profileLabels } from "./profile-labels.ts";

/** ClusterProfile of SIG Multicluster (KEP-4322; sigs.k8s.io/cluster-inventory-api v0.1.3). */
export const PROFILE_KIND = { group: "multicluster.x-k8s.io", version: "v1alpha1", plural: "clusterprofiles" } as const;
/** The manager, and the access provider, that the objects name. */
export const MANAGER = "fairlead";
export const MANAGER_LABEL = "x-k8s.io/cluster-manager";
/** Which relay's an object is, so that the publishers of two relays can share a namespace. */
export const RELAY_LABEL = "fairlead.dev/relay-id";
/** What client-go hands on to the credential plugin as `spec.cluster.config` (client.authentication.k8s.io/v1). */
const EXEC_EXTENSION = "client.authentication.k8s.io/exec";
/** The longest message that we write, in characters; the API takes 32,768. */
const MESSAGE_CHARS = 1_024;

/** Where a cluster is reached without a client proxy. */
export interface ClusterAddress {
  server: string;
  /** The authority of the relay's certificate, PEM; undefined for those of the system. */
  ca: Buffer | undefined;
}

/** A ClusterProfile, as far as we write it. */
export interface ProfileObject {
  apiVersion: string;
  kind: "ClusterProfile";
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
  };
  spec: { displayName: string; clusterManager: { name: string } };
  status: object;
}

/**
 * Makes the object of a cluster.
 *
 * @param relay the relay's origin
 * @returns the object, and which of the cluster's labels are not in it, since Kubernetes does not take them
 */
export function profileObject(
  cluster: Cluster,
  namespace: string,
  relay: string,
  address: ClusterAddress,
): { object: ProfileObject; leftOut: string[] } {
  const { labels, leftOut } = profileLabels(cluster.labels);
  const object: ProfileObject = {
    apiVersion: `${PROFILE_KIND.group}/${PROFILE_KIND.version}`,
    kind: "ClusterProfile",
    metadata: {
      name: cluster.name,
      namespace,
      labels: { ...labels, [MANAGER_LABEL]: MANAGER, [RELAY_LABEL]: relayId(relay) },
      annotations: { "fairlead.dev/relay": relay },
    },
    spec: { displayName: cluster.name, clusterManager: { name: MANAGER } },
    status: {
      conditions: [controlPlaneHealthy(cluster)],
      ...(cluster.kubernetesVersion !== "" && { version: { kubernetes: cluster.kubernetesVersion } }),
      properties: properties(cluster),
      accessProviders: [accessProvider(cluster.name, address)],
    },
  };
  return { object, leftOut };
}

/** A relay, as the value of a label: its address has letters that none may have. */
export function relayId(relay: string): string {
  return createHash("sha256").update(relay).digest("hex").slice(0, 16);
}

/** A control plane that nobody can ask now is not ill: its state is not known. */
function controlPlaneHealthy({ state, stateReason, stateTime }: Cluster) {
  const since = stateTime ? timestampDate(stateTime) : new Date(0);
  return {
    type: "ControlPlaneHealthy",
    status: state === ClusterState.CONNECTED ? "True" : state === ClusterState.DEGRADED ? "False" : "Unknown",
    reason: stateName(state),
    message: stateReason.slice(0, MESSAGE_CHARS),
    lastTransitionTime: since.toISOString().replace(/\.\d+Z$/, "Z"),
  };
}

/** What else is known, under names of ours; the API takes no empty value, and 1,024 characters. */
function properties({ distribution, nodeCount, agentVersion }: Cluster): { name: string; value: string }[] {
  const known = {
    "distribution.fairlead.dev": distribution,
    "nodes.fairlead.dev": nodeCount === 0 ? "" : String(nodeCount),
    "agent-version.fairlead.dev": agentVersion,
  };
  return Object.entries(known)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => ({ name, value: value.slice(0, MESSAGE_CHARS) }));
}

/** The access provider (KEP-5339): whose plugin gives the token is said by the reader's own provider file. */
function accessProvider(clusterName: string, { server, ca }: ClusterAddress) {
  return {
    name: MANAGER,
    cluster: {
      server,
      ...(ca && { "certificate-authority-data": ca.toString("base64") }),
      extensions: [{ name: EXEC_EXTENSION, extension: { clusterName } }],
    },
  };
}
