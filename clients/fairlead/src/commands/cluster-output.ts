import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { type Cluster, ClusterState } from "@fairlead/protocol";
import { table } from "../output.ts";

const STATES: Record<ClusterState, string> = {
  [ClusterState.UNSPECIFIED]: "Unknown",
  [ClusterState.CONNECTING]: "Connecting",
  [ClusterState.CONNECTED]: "Connected",
  [ClusterState.DEGRADED]: "Degraded",
  [ClusterState.OFFLINE]: "Offline",
  [ClusterState.EXPIRED]: "Expired",
};

/** A state, as people read it. */
export function stateName(state: ClusterState): string {
  return STATES[state];
}

/** A cluster as `--output json` has it. */
export function toJson(cluster: Cluster) {
  const { name, labels, state, stateReason, agentVersion, agentReplicas } = cluster;
  const { kubernetesVersion, distribution, nodeCount, capped } = cluster;
  return {
    ...{ name, labels, state: STATES[state], reason: stateReason, since: iso(cluster.stateTime) },
    ...{ lastSeen: iso(cluster.lastSeenTime), agentVersion, agentReplicas },
    ...{ certificateExpires: iso(cluster.certificateExpireTime) },
    ...{ kubernetesVersion, distribution, nodeCount, capped },
  };
}

const HEADER = ["NAME", "STATE", "SINCE", "AGENT", "KUBERNETES", "NODES", "LABELS"];

/** Clusters for people, and below the table why some cannot be reached. */
export function clusterTable(clusters: readonly Cluster[]): string {
  const reasons = clusters.filter(({ stateReason }) => stateReason !== "");
  const why = reasons.map(({ name, state, stateReason }) => `${name} is ${STATES[state]}: ${stateReason}`);
  return [table(HEADER, clusters.map(toRow)), ...(why.length > 0 ? ["", ...why] : [])].join("\n");
}

/** Clusters with all that is known of them, a line each. */
export function wideClusterTable(clusters: readonly Cluster[]): string {
  const rows = clusters.map((cluster) => {
    const { distribution, certificateExpires = "-", lastSeen = "-", reason } = toJson(cluster);
    return [...toRow(cluster), distribution || "-", lastSeen, certificateExpires, reason || "-"];
  });
  return table([...HEADER, "DISTRIBUTION", "LAST SEEN", "CERTIFICATE UNTIL", "REASON"], rows);
}

/** A change of a cluster's state, for people. */
export function clusterLine({ name, state, stateReason, stateTime }: Cluster, removed: boolean): string {
  if (removed) return `${new Date().toISOString()}  ${name}  removed`;
  const why = stateReason === "" ? "" : `: ${stateReason}`;
  return `${iso(stateTime)}  ${name}  ${STATES[state]}${why}`;
}

function toRow(cluster: Cluster): string[] {
  const { name, state, stateTime, agentVersion, agentReplicas, kubernetesVersion, nodeCount, labels } = cluster;
  const agent = agentReplicas > 1 ? `${agentVersion} (${agentReplicas})` : agentVersion;
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const nodes = nodeCount === 0 ? "-" : String(nodeCount);
  return [name, STATES[state], iso(stateTime) ?? "-", agent || "-", kubernetesVersion || "-", nodes, pairs.join(",")];
}

function iso(time: Timestamp | undefined): string | undefined {
  return time && timestampDate(time).toISOString();
}
