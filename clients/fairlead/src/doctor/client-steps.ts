import type { ProofKey } from "@fairlead/authentication";
import {
  type Check,
  clusterSteps,
  Failure,
  holdLane,
  reasonOf,
  relaySteps,
  type Step,
  sessionsLook,
} from "@fairlead/diagnosis";
import {
  type Cluster,
  ClusterService,
  ClusterState,
  ErrorCode,
  FairleadError,
  type GrpcConnection,
  Hop,
  hostAndPortOf,
  unaryCall,
} from "@fairlead/protocol";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { VERSION } from "../version.ts";
import { tryRequest } from "./try-request.ts";

/** What a client's doctor is asked. */
export interface ClientQuestion {
  /** As {@link connectToRelay} makes it. */
  relay: RelayConnection;
  /** The cluster; undefined: only the way to the relay, and the token. */
  cluster: string | undefined;
  proofKey: ProofKey | undefined;
  /** For how long a connection is to be held, in milliseconds; 0: not at all. */
  holdMs: number;
}

/** What `fairlead doctor` looks at, in the order of a request's way. */
export function clientSteps({ relay, cluster, proofKey, holdMs }: ClientQuestion): Step[] {
  const address = { ...hostAndPortOf(relay.url), tls: relay.tls };
  let known: Cluster | undefined;
  const held = async (): Promise<string> => (holdMs > 0 ? `; ${await holdLane(address, holdMs)}` : "");
  const toTheRelay: Step[] = [
    ...relaySteps(address, { kind: "client", version: VERSION }),
    { check: "authentication", look: () => asked(relay, "authentication", authenticationLook) },
  ];
  if (cluster === undefined) {
    if (holdMs === 0) return toTheRelay;
    return [...toTheRelay, { check: "sessions", look: () => holdLane(address, holdMs) }];
  }
  const clusterLook = (connection: GrpcConnection, token: string): Promise<string> =>
    unaryCall(connection, ClusterService.method.getKubeconfig, { cluster }, { token, peerHop: Hop.RELAY }).then(
      (answer) => {
        known = answer.cluster;
        return `you may reach ${cluster}`;
      },
    );
  return [
    ...toTheRelay,
    { check: "cluster", look: () => asked(relay, "cluster", clusterLook) },
    { check: "sessions", look: async () => `${sessionsLook(known?.recentEnds ?? [], Date.now())}${await held()}` },
    { check: "agent", look: async () => agentLook(known) },
    ...clusterSteps(async () => ({ problem: known?.problem, report: known })),
    { check: "request", look: () => tryRequest(relay, cluster, proofKey) },
  ];
}

async function authenticationLook(connection: GrpcConnection, token: string): Promise<string> {
  const options = { token, peerHop: Hop.RELAY };
  const { clusters } = await unaryCall(connection, ClusterService.method.listClusters, {}, options);
  return `the relay takes it; you may reach ${clusters.length} cluster${clusters.length === 1 ? "" : "s"}`;
}

/** Whether an agent is attached, by the state that the relay keeps. */
function agentLook(cluster: Cluster | undefined): string {
  const { name = "", state = ClusterState.UNSPECIFIED, stateReason = "", agentVersion, agentReplicas } = cluster ?? {};
  if (agentReplicas)
    return `${agentReplicas} attached, ${agentVersion}${stateReason === "" ? "" : ` (${stateReason})`}`;
  const seen = `${name} is ${ClusterState[state]}: ${stateReason}`;
  const remedy =
    state === ClusterState.EXPIRED || state === ClusterState.CONNECTING
      ? `as an administrator: fairlead clusters join-token ${name}; give the token to fairlead-agent as --join-token-file`
      : "in the cluster: see that fairlead-agent runs, and its log; `fairlead-agent doctor` there says more";
  throw new Failure("agent", seen, remedy);
}

/** Makes a call on a connection of its own, by the way that lanes go. */
async function asked(
  relay: RelayConnection,
  check: Check,
  call: (connection: GrpcConnection, token: string) => Promise<string>,
): Promise<string> {
  const connection = relay.openLanes(() => {}); // one call is made
  try {
    return await call(connection, await relay.token());
  } catch (cause) {
    const code = cause instanceof FairleadError ? cause.code : ErrorCode.UNSPECIFIED;
    throw new Failure(check, reasonOf(cause), REMEDIES.get(code) ?? UNJUDGED, { cause });
  } finally {
    connection.close();
  }
}

const REMEDIES = new Map([
  [ErrorCode.TOKEN_REFUSED, "get a new token, and give it with --token-file FILE or FAIRLEAD_TOKEN"],
  [
    ErrorCode.CLUSTER_UNKNOWN,
    "see `fairlead clusters`; if it was removed there, an administrator makes it anew (fairlead clusters create), or lets you in (fairlead rules create)",
  ],
]);
/** As when the issuer's keys cannot be fetched. */
const UNJUDGED = "the relay cannot judge it now: see its log, and that it reaches the issuer";
