import { AgentIdentity } from "@fairlead/agent-identity";
import {
  clusterSteps,
  Failure,
  holdLane,
  type RelayAddress,
  reasonOf,
  relaySteps,
  type Step,
  sessionsLook,
} from "@fairlead/diagnosis";
import {
  EnrolmentService,
  ErrorCode,
  FairleadError,
  type GetAgentResponse,
  Hop,
  IdentityProxyService,
  onOwnConnection,
  type PeerAddress,
  unaryCall,
} from "@fairlead/protocol";
import type { OwnCluster } from "../enrolment/own-cluster.ts";
import { VERSION } from "../version.ts";

/** What an agent's doctor is asked. */
export interface AgentQuestion {
  relay: RelayAddress;
  identityProxy(): PeerAddress;
  /** Reads what the agent keeps. It may have to ask the apiserver. */
  ownCluster(): Promise<OwnCluster>;
  /** Whether the apiserver has it, and not a folder. */
  isKeptInCluster: boolean;
  /** For how long a connection is to be held, in milliseconds; 0: not at all. */
  holdMs: number;
}

const JOIN_ANEW =
  "get a join token (fairlead clusters join-token CLUSTER) and give it to the agent as --join-token-file; a running one looks there at each attempt, and joins by itself if it does so by its service account";
const UNJUDGED = "the relay cannot judge it now: see its log";
const NO_IDENTITY_PROXY = "see that fairlead-identity-proxy runs, that --identity-proxy is its address, and its log";

/** What `fairlead-agent doctor` looks at: the way to the relay, who the agent is there, and the way to the apiserver. */
export function agentSteps(question: AgentQuestion): Step[] {
  const { relay, identityProxy, holdMs } = question;
  let known: GetAgentResponse | undefined;
  const certificate = async (): Promise<string> => {
    const { identity, uid } = await keptIdentity(question);
    const until = new Date(identity.expiresAtMs).toISOString();
    if (identity.expiresAtMs <= Date.now()) {
      throw new Failure("certificate", `the certificate for ${identity.cluster} has expired, at ${until}`, JOIN_ANEW);
    }
    known = await onOwnConnection(
      () => relay,
      async (connection) => {
        const token = await identity.prove(EnrolmentService.method.getAgent);
        const options = { token, peerHop: Hop.RELAY };
        return unaryCall(connection, EnrolmentService.method.getAgent, { clusterUid: uid }, options);
      },
    ).catch((cause: unknown) => {
      const isRefused = cause instanceof FairleadError && cause.code === ErrorCode.TOKEN_REFUSED;
      throw new Failure("certificate", reasonOf(cause), isRefused ? JOIN_ANEW : UNJUDGED, { cause });
    });
    return `the relay knows it, for ${identity.cluster}, until ${until}`;
  };
  const sessions = async (): Promise<string> => {
    const remembered = sessionsLook(known?.recentEnds ?? [], Date.now());
    return holdMs > 0 ? `${remembered}; ${await holdLane(relay, holdMs)}` : remembered;
  };
  const agent = async (): Promise<string> => {
    if (known?.replicas) return `${known.replicas} attached`;
    const last = known?.recentEnds[0]?.reason;
    const seen = `none is attached${last ? `; the last one: ${last}` : ""}`;
    throw new Failure("agent", seen, "see that fairlead-agent runs, and its log");
  };
  const findings = async () => {
    try {
      return await onOwnConnection(identityProxy, (connection) =>
        unaryCall(connection, IdentityProxyService.method.check, {}, { peerHop: Hop.IDENTITY_PROXY }),
      );
    } catch (cause) {
      throw new Failure("identity-proxy", reasonOf(cause), NO_IDENTITY_PROXY, { cause });
    }
  };
  return [
    ...relaySteps(relay, { kind: "agent", version: VERSION }),
    { check: "certificate", look: certificate },
    { check: "sessions", look: sessions },
    { check: "agent", look: agent },
    ...clusterSteps(findings),
  ];
}

/** Who the agent is, by what it keeps. @throws Failure if it keeps nothing, or that cannot be read */
async function keptIdentity({ ownCluster, isKeptInCluster }: AgentQuestion) {
  const { store, uid } = await ownCluster();
  const { state } = await store.load().catch((cause: unknown) => {
    const isAnswered = typeof Object(cause).code === "number"; // the HTTP status of a refusal (ApiException)
    const check = isKeptInCluster && !isAnswered ? "apiserver" : "certificate";
    const remedy = isAnswered
      ? "let the agent's account get its Secret"
      : `see that ${isKeptInCluster ? "the apiserver is up, and reached from here" : "the agent's folder can be read"}`;
    throw new Failure(check, `what the agent keeps cannot be read: ${reasonOf(cause)}`, remedy, { cause });
  });
  const { certificate, key } = state;
  if (certificate === undefined || key === undefined)
    throw new Failure("certificate", "the agent has not joined yet: it keeps no certificate", JOIN_ANEW);
  try {
    return { identity: new AgentIdentity({ certificate, key }), uid };
  } catch (cause) {
    throw new Failure("certificate", `what the agent keeps is no identity: ${reasonOf(cause)}`, JOIN_ANEW, { cause });
  }
}
