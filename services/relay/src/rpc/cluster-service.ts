import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Subject } from "@fairlead/authentication";
import { type ClusterService, ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { checkName, clusterUnknown } from "../clusters/clusters.ts";
import type { DirectAddresses } from "../direct/direct-address.ts";
import type { Agents } from "../enrolment/agents.ts";
import type { JoinToken, JoinTokens } from "../enrolment/join-tokens.ts";
import { checkServiceAccountJoin } from "../enrolment/service-account-join.ts";
import type { ServiceAccountJoins } from "../enrolment/service-account-joins.ts";
import type { AccessServiceHandler } from "../lanes/access-service.ts";
import type { AttachmentEnds } from "../lanes/attachment-ends.ts";
import type { Attachments } from "../lanes/attachments.ts";
import { CALLER } from "./caller.ts";
import { type WatchedClusters, watchClusters } from "./cluster-watch.ts";

/** What the clusters are kept by. */
export interface ClusterServiceParts extends WatchedClusters {
  joinTokens: JoinTokens;
  serviceAccountJoins: ServiceAccountJoins;
  agents: Agents;
  attachments: Attachments;
  access: AccessServiceHandler;
  ends: AttachmentEnds;
  direct: DirectAddresses;
}

/** `ClusterService`: what the caller may reach, and for administrators the keeping of clusters. */
export function clusterService(parts: ClusterServiceParts): ServiceImpl<typeof ClusterService> {
  const { admission, clusters, joinTokens, serviceAccountJoins, agents } = parts;
  const { attachments, states, access, ends, direct, toMessage } = parts;
  return {
    listClusters: (_request, context) => ({ clusters: admission.visible(callerOf(context)).map(toMessage) }),
    watchClusters: (_request, context) => watchClusters(parts, callerOf(context), context.signal),
    getKubeconfig: ({ cluster }, context) => {
      const admitted = admission.admit(callerOf(context), cluster);
      const { name } = admitted;
      const asked = { ...toMessage(admitted), recentEnds: [...ends.of(name)] };
      return { cluster: asked, contextName: `fairlead-${name}`, namespace: "", directUrl: direct.of(name) };
    },
    createCluster: async ({ name, labels, serviceAccountJoin }, context) => {
      admission.requireAdministrator(callerOf(context));
      checkName(name, "cluster");
      const join = serviceAccountJoin && checkServiceAccountJoin(name, serviceAccountJoin);
      const cluster = await clusters.create(name, labels);
      states.refresh(name);
      if (join) {
        await serviceAccountJoins.set(name, join);
        return { cluster: toMessage(cluster) };
      }
      return { cluster: toMessage(cluster), joinToken: toJoinToken(await joinTokens.create(name)) };
    },
    createJoinToken: async ({ cluster }, context) => {
      admission.requireAdministrator(callerOf(context));
      if (!clusters.get(cluster)) throw clusterUnknown(cluster);
      return { joinToken: toJoinToken(await joinTokens.create(cluster)) };
    },
    setServiceAccountJoin: async ({ cluster, serviceAccountJoin }, context) => {
      admission.requireAdministrator(callerOf(context));
      if (!clusters.get(cluster)) throw clusterUnknown(cluster);
      const join = serviceAccountJoin && checkServiceAccountJoin(cluster, serviceAccountJoin);
      await serviceAccountJoins.set(cluster, join);
      return {};
    },
    deleteCluster: async ({ name }, context) => {
      admission.requireAdministrator(callerOf(context));
      await clusters.delete(name);
      agents.forget(name);
      ends.forget(name);
      states.refresh(name);
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
