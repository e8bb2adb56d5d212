import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Subject } from "@fairlead/authentication";
import { type Cluster, ClusterSchema, type ClusterService, ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Admission } from "../access/admission.ts";
import { type ClusterRecord, type Clusters, clusterUnknown } from "../clusters/clusters.ts";
import type { Agents } from "../enrolment/agents.ts";
import type { JoinToken, JoinTokens } from "../enrolment/join-tokens.ts";
import type { AccessServiceHandler } from "../lanes/access-service.ts";
import type { Attachments } from "../lanes/attachments.ts";
import { CALLER } from "./caller.ts";

/** `ClusterService`: what the caller may reach, and for administrators the keeping of clusters. */
export function clusterService(
  admission: Admission,
  clusters: Clusters,
  joinTokens: JoinTokens,
  agents: Agents,
  attachments: Attachments,
  access: AccessServiceHandler,
): ServiceImpl<typeof ClusterService> {
  const toMessage = (cluster: ClusterRecord): Cluster => {
    const [attachment] = attachments.of(cluster.name);
    const seenAtMs = attachment ? Date.now() : cluster.lastSeenAtMs;
    return create(ClusterSchema, {
      name: cluster.name,
      labels: cluster.labels,
      connected: attachment !== undefined,
      agentVersion: attachment?.agentVersion ?? "",
      ...(seenAtMs !== undefined && { lastSeenTime: timestampFromMs(seenAtMs) }),
    });
  };
  return {
    listClusters: (_request, context) => ({ clusters: admission.visible(callerOf(context)).map(toMessage) }),
    getKubeconfig: ({ cluster }, context) => {
      const admitted = admission.admit(callerOf(context), cluster);
      return { cluster: toMessage(admitted), contextName: `fairlead-${admitted.name}`, namespace: "" };
    },
    createCluster: async ({ name, labels }, context) => {
      admission.requireAdministrator(callerOf(context));
      const cluster = await clusters.create(name, labels);
      return { cluster: toMessage(cluster), joinToken: toJoinToken(await joinTokens.create(name)) };
    },
    createJoinToken: async ({ cluster }, context) => {
      admission.requireAdministrator(callerOf(context));
      if (!clusters.get(cluster)) throw clusterUnknown(cluster);
      return { joinToken: toJoinToken(await joinTokens.create(cluster)) };
    },
    deleteCluster: async ({ name }, context) => {
      admission.requireAdministrator(callerOf(context));
      await clusters.delete(name);
      agents.forget(name);
      access.recheck();
      const removed = new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, "the cluster was removed from the relay");
      for (const attachment of attachments.of(name)) attachment.end(removed);
      return {};
    },
  };
}

function toJoinToken({ token, expiresAtMs }: JoinToken) {
  return { token, expireTime: timestampFromMs(expiresAtMs) };
}

/** The caller that the interceptor authenticated. */
export function callerOf(context: HandlerContext): Subject {
  const caller = context.values.get(CALLER);
  if (caller) return caller;
  throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, "the call was not authenticated");
}
