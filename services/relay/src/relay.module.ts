import { connectNodeAdapter } from "@connectrpc/connect-node";
import { openVerifier, TokenVerifier } from "@fairlead/authentication";
import {
  AccessRuleService,
  CallerService,
  ClusterService,
  EnrolmentService,
  Hop,
  RelayService,
} from "@fairlead/protocol";
import { tellErrors } from "@fairlead/protocol/rpc-errors";
import type { Logger } from "@fairlead/service";
import { type DynamicModule, Module } from "@nestjs/common";
import { AccessRules } from "./access/access-rules.ts";
import { Admission } from "./access/admission.ts";
import { ClusterStates } from "./clusters/cluster-states.ts";
import { Clusters } from "./clusters/clusters.ts";
import type { RelayConfig } from "./config.ts";
import { DirectAddresses } from "./direct/direct-address.ts";
import { DirectEndpoint } from "./direct/direct-endpoint.ts";
import { AgentAuthority } from "./enrolment/agent-authority.ts";
import { AgentProofVerifier } from "./enrolment/agent-proof-verifier.ts";
import { Agents } from "./enrolment/agents.ts";
import { JoinTokens } from "./enrolment/join-tokens.ts";
import { ServiceAccountJoins } from "./enrolment/service-account-joins.ts";
import { ServiceAccountVerifier } from "./enrolment/service-account-verifier.ts";
import { HealthController } from "./health.controller.ts";
import { AccessServiceHandler } from "./lanes/access-service.ts";
import { AttachmentEnds } from "./lanes/attachment-ends.ts";
import { Attachments } from "./lanes/attachments.ts";
import { TunnelServiceHandler } from "./lanes/tunnel-service.ts";
import { ExchangeLimits } from "./limits/exchange-limits.ts";
import { logRefusal } from "./limits/refusal.ts";
import { accessRuleService } from "./rpc/access-rule-service.ts";
import { callerInterceptor } from "./rpc/caller.ts";
import { callerService } from "./rpc/caller-service.ts";
import { clusterMessages } from "./rpc/cluster-message.ts";
import { clusterService } from "./rpc/cluster-service.ts";
import { enrolmentService } from "./rpc/enrolment-service.ts";
import { relayService } from "./rpc/relay-service.ts";
import { openStore, type Store } from "./store/store.ts";

/** Longest message of a unary call. */
const MAX_CALL_BYTES = 64 * 1024;

/** Names of what is no class of its own. */
export const STORE = Symbol("store");
export const RPC_HANDLER = Symbol("rpc handler");

/** The relay's table of contents: what it is made of, and what each part needs. */
@Module({})
export class RelayModule {
  static with(config: RelayConfig, log: Logger): DynamicModule {
    return {
      module: RelayModule,
      controllers: [HealthController],
      providers: [
        // What it keeps.
        { provide: STORE, useFactory: () => openStore(config.database) },
        { provide: Clusters, inject: [STORE], useFactory: (store: Store) => Clusters.load(store) },
        { provide: AccessRules, inject: [STORE], useFactory: (store: Store) => AccessRules.load(store) },
        { provide: JoinTokens, inject: [STORE], useFactory: (store: Store) => new JoinTokens(store) },
        { provide: ServiceAccountJoins, inject: [STORE], useFactory: (store: Store) => new ServiceAccountJoins(store) },
        {
          provide: Agents,
          inject: [STORE, JoinTokens, ServiceAccountJoins],
          useFactory: (store: Store, joinTokens: JoinTokens, joins: ServiceAccountJoins) =>
            Agents.load(store, joinTokens, joins),
        },
        // Who may come in: agents by their certificates, people by their tokens.
        {
          provide: AgentAuthority,
          useFactory: () => AgentAuthority.open(config.agents.authority, config.agents.certificateLifetimeMs),
        },
        {
          provide: AgentProofVerifier,
          inject: [AgentAuthority],
          useFactory: ({ trusted }: AgentAuthority) => new AgentProofVerifier(trusted),
        },
        {
          provide: ServiceAccountVerifier,
          inject: [ServiceAccountJoins],
          useFactory: (joins: ServiceAccountJoins) => new ServiceAccountVerifier(joins),
        },
        {
          provide: TokenVerifier,
          useFactory: () => openVerifier(config.authentication, Hop.RELAY, log),
        },
        {
          provide: Admission,
          inject: [TokenVerifier, Clusters, AccessRules],
          useFactory: (verifier: TokenVerifier, clusters: Clusters, rules: AccessRules) =>
            new Admission(verifier, clusters, rules, config.administrators),
        },
        {
          provide: ExchangeLimits,
          useFactory: () =>
            new ExchangeLimits({
              limits: config.limits,
              nowMs: () => performance.now(),
              refused: (refused) => logRefusal(log, refused),
            }),
        },
        // Lanes: agents on one side, clients on the other.
        { provide: Attachments, useFactory: () => new Attachments() },
        { provide: AttachmentEnds, useFactory: () => new AttachmentEnds() },
        {
          provide: ClusterStates,
          inject: [Clusters, Agents, Attachments],
          useFactory: (clusters: Clusters, agents: Agents, attachments: Attachments) =>
            new ClusterStates(clusters, agents, attachments, log),
        },
        {
          provide: TunnelServiceHandler,
          inject: [AgentProofVerifier, Agents, Clusters, Attachments, ClusterStates, AttachmentEnds],
          useFactory: (
            proofs: AgentProofVerifier,
            agents: Agents,
            clusters: Clusters,
            attachments: Attachments,
            states: ClusterStates,
            ends: AttachmentEnds,
          ) => {
            const { agent: oldestAgent } = config.oldestVersions;
            const parts = { proofs, agents, clusters, attachments, states, ends };
            return new TunnelServiceHandler({ ...parts, oldestAgent, log });
          },
        },
        {
          provide: AccessServiceHandler,
          inject: [Admission, ExchangeLimits, Attachments],
          useFactory: (admission: Admission, limits: ExchangeLimits, attachments: Attachments) =>
            new AccessServiceHandler(admission, limits, attachments, log),
        },
        // Clusters as HTTPS servers, for clients without a client proxy.
        { provide: DirectAddresses, useFactory: () => new DirectAddresses(config.direct) },
        {
          provide: DirectEndpoint,
          inject: [DirectAddresses, AccessServiceHandler],
          useFactory: (addresses: DirectAddresses, access: AccessServiceHandler) =>
            new DirectEndpoint(addresses, access),
        },
        // The control plane, as gRPC and as JSON over HTTP.
        {
          provide: RPC_HANDLER,
          inject: [
            ...[Admission, Clusters, AccessRules, Attachments, ClusterStates, AccessServiceHandler],
            ...[JoinTokens, ServiceAccountJoins, Agents, AgentAuthority, AgentProofVerifier, ServiceAccountVerifier],
            ...[AttachmentEnds, DirectAddresses],
          ],
          useFactory: (
            admission: Admission,
            clusters: Clusters,
            rules: AccessRules,
            attachments: Attachments,
            states: ClusterStates,
            access: AccessServiceHandler,
            joinTokens: JoinTokens,
            serviceAccountJoins: ServiceAccountJoins,
            agents: Agents,
            authority: AgentAuthority,
            proofs: AgentProofVerifier,
            serviceAccounts: ServiceAccountVerifier,
            ends: AttachmentEnds,
            direct: DirectAddresses,
          ) => {
            const people = { interceptors: [tellErrors(Hop.RELAY), callerInterceptor(admission)] };
            const toMessage = clusterMessages(attachments, agents, states);
            const keeping = { clusters, joinTokens, serviceAccountJoins, agents, attachments, states, ends };
            const parts = { ...keeping, direct, admission, access, toMessage };
            const judging = { authority, proofs, serviceAccounts };
            const enrolment = enrolmentService({ ...judging, agents, attachments, ends, states, log });
            const anybody = { interceptors: [tellErrors(Hop.RELAY)] };
            return connectNodeAdapter({
              readMaxBytes: MAX_CALL_BYTES, // read before the caller is known
              routes: (router) =>
                router
                  .service(ClusterService, clusterService(parts), people)
                  .service(AccessRuleService, accessRuleService(admission, clusters, rules, access), people)
                  .service(CallerService, callerService(admission), people)
                  .service(EnrolmentService, enrolment, anybody)
                  .service(RelayService, relayService(config.oldestVersions, config.login), anybody),
            });
          },
        },
      ],
    };
  }
}
