import { ErrorCode, type FairleadError, Hop, hopName } from "@fairlead/protocol";
import { type Check, Failure } from "./checks.ts";

const REMEDIES: Partial<Record<Check, string>> = {
  agent: "in the cluster: see that fairlead-agent runs, and its log; `fairlead-agent doctor` there says more",
  "identity-proxy": "in the cluster: see that fairlead-identity-proxy runs beside the agent, and its log",
  apiserver: "in the cluster: see that kube-apiserver is up, and that the identity proxy reaches it",
  rights: "give the identity proxy's account what `fairlead rbac` prints, and nothing else",
  authentication: "get a new token, for the audience of the relay and the cluster",
  cluster: "`fairlead clusters` lists yours; ask an administrator for a rule",
  request: "try again; if it stays so, see the logs of the hop that it names",
};
/** Codes that are about the identity proxy's own account, and not about whether it answers. */
const RIGHTS: readonly ErrorCode[] = [ErrorCode.ACCESS_DENIED, ErrorCode.OWN_CREDENTIAL_REFUSED];

/**
 * Names the check that an error of the tunnel's belongs to: the hop that failed.
 *
 * @param isOwn whether the agent reported it of itself: then nobody's token is in play
 */
export function failureOf(error: Pick<FairleadError, "code" | "hop" | "message">, isOwn: boolean): Failure {
  const check = checkOf(error, isOwn);
  return new Failure(check, `${hopName(error.hop)}: ${error.message}`, REMEDIES[check] ?? "");
}

function checkOf({ code, hop }: Pick<FairleadError, "code" | "hop">, isOwn: boolean): Check {
  if (code === ErrorCode.OWN_CREDENTIAL_REFUSED || (isOwn && hop === Hop.IDENTITY_PROXY && RIGHTS.includes(code))) {
    return "rights";
  }
  if (code === ErrorCode.TOKEN_REFUSED) return "authentication";
  if (code === ErrorCode.CLUSTER_UNKNOWN) return "cluster";
  if (code === ErrorCode.AGENT_NOT_CONNECTED || hop === Hop.AGENT) return "agent";
  if (code === ErrorCode.ACCESS_DENIED || hop === Hop.RELAY || hop === Hop.CLIENT_PROXY) return "request";
  return hop === Hop.APISERVER ? "apiserver" : "identity-proxy";
}
