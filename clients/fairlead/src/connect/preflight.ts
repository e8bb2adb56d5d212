import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { KubernetesObject } from "@kubernetes/client-node";
import { AGENT_DEPLOYMENT } from "./installation.ts";
import type { Right, TargetCluster } from "./target-cluster.ts";

/** The oldest Kubernetes that the chart is for: the minor version of 1. */
const OLDEST_MINOR = 27;
/** Beyond this, tokens are refused (packages/authentication) and certificates seem not valid yet, in milliseconds. */
const CLOCK_TOLERANCE_MS = 30_000;

/**
 * Looks, before anything is made, whether a cluster can be connected: that it answers, its version and its clock, that the
 * operator may make each of the objects and give the rights in them, and that no agent is there yet.
 *
 * @returns what was found, for people
 * @throws FairleadError that says what is missing
 */
export async function preflight(cluster: TargetCluster, objects: readonly KubernetesObject[]): Promise<string> {
  const { version, clockAheadMs } = await cluster.facts();
  const [, minor] = /^v1\.(\d+)/.exec(version) ?? [];
  if (minor !== undefined && Number(minor) < OLDEST_MINOR) {
    throw unfit(`it is Kubernetes ${version}, and Fairlead is for 1.${OLDEST_MINOR} and newer`);
  }
  if (clockAheadMs !== undefined && Math.abs(clockAheadMs) > CLOCK_TOLERANCE_MS) {
    const seconds = Math.round(Math.abs(clockAheadMs) / 1_000);
    const which = clockAheadMs > 0 ? "ahead of" : "behind";
    throw unfit(`its clock is ${seconds} s ${which} this machine's; set whichever is wrong (tokens would be refused)`);
  }
  const missing = await cluster.missing(rightsFor(objects));
  if (missing.length > 0) {
    const which = new Set(missing.map(({ group, resource }) => (group ? `${resource}.${group}` : resource)));
    throw unfit(`you may not make ${[...which].join(", ")} there; a cluster-admin may`);
  }
  if ((await cluster.missing(GIVERS)).length === GIVERS.length) {
    throw unfit("you may not give the right to impersonate users, since you have it not; a cluster-admin may");
  }
  const agent = objects.find(({ kind, metadata }) => kind === "Deployment" && metadata?.name === AGENT_DEPLOYMENT);
  if (agent && (await cluster.read(agent))) {
    throw unfit(
      `it has an agent in the namespace ${agent.metadata?.namespace} already; see fairlead disconnect --help`,
    );
  }
  return `Kubernetes ${version}`;
}

/** To give somebody the right to impersonate one needs one of these (Kubernetes, "Privilege escalation prevention"). */
const GIVERS: readonly Right[] = [
  { verb: "impersonate", group: "", resource: "users" },
  { verb: "escalate", group: "rbac.authorization.k8s.io", resource: "clusterroles" },
];

/** Server-side apply needs both verbs. */
function rightsFor(objects: readonly KubernetesObject[]): Right[] {
  const kinds = new Map(objects.map(({ apiVersion = "", kind = "", metadata }) => [kind, { apiVersion, metadata }]));
  return [...kinds].flatMap(([kind, { apiVersion, metadata }]) => {
    const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
    const resource = kind === "NetworkPolicy" ? "networkpolicies" : `${kind.toLowerCase()}s`;
    const where = metadata?.namespace === undefined ? {} : { namespace: metadata.namespace };
    return ["create", "patch"].map((verb): Right => ({ verb, group, resource, ...where }));
  });
}

function unfit(why: string): FairleadError {
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.APISERVER, `this cluster cannot be connected: ${why}`);
}
