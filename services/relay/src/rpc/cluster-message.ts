import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Cluster, ClusterSchema, ClusterState } from "@fairlead/protocol";
import type { ClusterStates } from "../clusters/cluster-states.ts";
import type { ClusterRecord } from "../clusters/clusters.ts";
import { distributionOf } from "../clusters/distribution.ts";
import type { Agents } from "../enrolment/agents.ts";
import type { Attachments } from "../lanes/attachments.ts";

/** Makes a cluster's message of what the relay knows. */
export function clusterMessages(
  attachments: Attachments,
  agents: Agents,
  states: ClusterStates,
): (cluster: ClusterRecord) => Cluster {
  return ({ name, labels, lastSeenAtMs }) => {
    const attached = attachments.of(name);
    const { state, reason, sinceMs } = states.of(name);
    const {
      kubernetesVersion = "",
      nodeCount = 0,
      capped = false,
    } = attached.find(({ report }) => report !== undefined)?.report ?? {};
    const agent = agents.of(name);
    const problem = attached.find((attachment) => attachment.problem)?.problem;
    const seenAtMs = attached.length > 0 ? Date.now() : lastSeenAtMs;
    return create(ClusterSchema, {
      ...{ name, labels, state, stateReason: reason, stateTime: timestampFromMs(sinceMs) },
      ...{ agentVersion: attached[0]?.agentVersion ?? "", agentReplicas: attached.length },
      ...{ kubernetesVersion, distribution: distributionOf(kubernetesVersion), nodeCount, capped },
      ...(problem && state === ClusterState.DEGRADED && { problem: problem.toMessage() }),
      ...(agent && { certificateExpireTime: timestampFromMs(agent.expiresAtMs) }),
      ...(seenAtMs !== undefined && { lastSeenTime: timestampFromMs(seenAtMs) }),
    });
  };
}
