import type { X509Certificate } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { bearerToken } from "@fairlead/authentication";
import { requestPublicKey } from "@fairlead/certificates";
import { EnrolmentService, ErrorCode, FairleadError, Hop, type JoinRequest } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { ClusterStates } from "../clusters/cluster-states.ts";
import type { AgentAuthority } from "../enrolment/agent-authority.ts";
import type { AgentProofVerifier } from "../enrolment/agent-proof-verifier.ts";
import type { Agents } from "../enrolment/agents.ts";
import { keyOf } from "../enrolment/key-of.ts";
import type { ServiceAccountVerifier } from "../enrolment/service-account-verifier.ts";
import type { AttachmentEnds } from "../lanes/attachment-ends.ts";
import type { Attachments } from "../lanes/attachments.ts";

/** Longest uid that is kept: those of Kubernetes have 36 characters. */
const MAX_UID_LENGTH = 64;

/** What agents' certificates are kept by. */
export interface EnrolmentServiceParts {
  authority: AgentAuthority;
  agents: Agents;
  proofs: AgentProofVerifier;
  serviceAccounts: ServiceAccountVerifier;
  attachments: Attachments;
  ends: AttachmentEnds;
  states: ClusterStates;
  log: Logger;
}

/** `EnrolmentService`: agents' first certificates and their next ones, and what the relay knows of them. */
export function enrolmentService(parts: EnrolmentServiceParts): ServiceImpl<typeof EnrolmentService> {
  const { authority, agents, proofs, serviceAccounts, attachments, ends, states, log } = parts;
  /** A join token is judged as it is used, in one step. */
  const admitted = async (credential: JoinRequest["credential"]) => {
    if (credential.case === "joinToken") return { joinToken: credential.value };
    if (credential.case !== "serviceAccountToken") throw malformed("a join token or a service account's token is due");
    return { serviceAccountJoin: await serviceAccounts.verify(credential.value) };
  };
  return {
    join: async ({ credential, certificateRequest, clusterUid }) => {
      if (!/^[\w-]*$/.test(clusterUid) || clusterUid.length > MAX_UID_LENGTH)
        throw malformed("the cluster's uid is none");
      const key = await keyOfRequest(certificateRequest);
      const by = await admitted(credential);
      const { cluster, certificate } = await agents.join({ ...by, key, clusterUid }, (name) =>
        authority.certify(certificateRequest, name),
      );
      states.refresh(cluster);
      log.info({ cluster, clusterUid, by: credential.case, until: certificate.validToDate }, "agent joined");
      return { certificate: issued(cluster, certificate) };
    },
    renew: async ({ certificateRequest }, context) => {
      const proof = bearerToken(context.requestHeader.get("authorization") ?? undefined);
      const agent = await proofs.verify(proof, EnrolmentService.method.renew);
      const key = await keyOfRequest(certificateRequest);
      const certificate = await authority.certify(certificateRequest, agent.cluster);
      await agents.renew(agent, key, certificate.validToDate.getTime());
      log.info({ cluster: agent.cluster, until: certificate.validToDate }, "agent's certificate renewed");
      return { certificate: issued(agent.cluster, certificate) };
    },
    getAgent: async ({ clusterUid }, context) => {
      const proof = bearerToken(context.requestHeader.get("authorization") ?? undefined);
      const proven = await proofs.verify(proof, EnrolmentService.method.getAgent);
      const { cluster } = proven;
      const expireTime = timestampFromMs(agents.judge(proven, clusterUid).expiresAtMs);
      return { cluster, expireTime, replicas: attachments.of(cluster).length, recentEnds: [...ends.of(cluster)] };
    },
  };
}

async function keyOfRequest(request: Uint8Array): Promise<string> {
  try {
    return keyOf(await requestPublicKey(request));
  } catch (cause) {
    throw malformed("the certificate request is not one that is signed by a key on the curve P-256", cause);
  }
}

function issued(cluster: string, certificate: X509Certificate) {
  const expireTime = timestampFromMs(certificate.validToDate.getTime());
  return { certificate: new Uint8Array(certificate.raw), cluster, expireTime };
}

function malformed(sentence: string, cause?: unknown): FairleadError {
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.RELAY, sentence, { cause });
}
