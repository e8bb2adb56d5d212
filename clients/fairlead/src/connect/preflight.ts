import { reasonOf } from "@fairlead/diagnosis";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { KubernetesObject } from "@kubernetes/client-node";
import { type Check, type Finding, judged, type Look, lineOf, skipped } from "./finding.ts";
import { AGENT_DEPLOYMENT } from "./installation.ts";
import type { Right, TargetCluster } from "./target-cluster.ts";

/** The oldest Kubernetes that the chart is for: the minor version of 1. */
const OLDEST_MINOR = 27;
/** Beyond this, tokens are refused (packages/authentication) and certificates seem not valid yet, in milliseconds. */
const CLOCK_TOLERANCE_MS = 30_000;
/** What fails of the way from the cluster to the relay, and not of the cluster. */
const WAY: readonly Check[] = ["DNS", "egress"];

/** What a preflight needs to know beside the cluster. */
export interface Plan {
  /** What is to be made in the cluster. */
  objects: readonly KubernetesObject[];
  /** What is looked at after all that can be asked of the apiserver. */
  more: readonly Look[];
  /** Hears of each check. */
  told: (line: string) => void;
  /** Ends it, with its reason. */
  signal: AbortSignal;
}

/**
 * Reports, before anything is made that stays, whether a cluster can be connected: its version and its clock, that the
 * operator may make each of the objects and give the rights in them, that no agent is there yet, and what else is asked for.
 *
 * @throws FairleadError that names all that is wrong; or that the cluster cannot be asked, when there is nothing to report
 */
export async function preflight(cluster: TargetCluster, { objects, more, told, signal }: Plan): Promise<void> {
  const { version, clockAheadMs } = await cluster.facts();
  const looks: Look[] = [
    { checks: ["version"], look: async () => [versionFinding(version)] },
    { checks: ["clock"], look: async () => [clockFinding(clockAheadMs)] },
    { checks: ["permissions"], look: async () => [await permissionsFinding(cluster, objects)] },
    { checks: ["agent"], look: async () => [await agentFinding(cluster, objects)] },
    ...more,
  ];
  const faults: Finding[] = [];
  for (const { checks, look } of looks) {
    const findings = await look().catch((error: unknown) => skipped(checks, reasonOf(error)));
    signal.throwIfAborted();
    for (const finding of findings) told(lineOf(finding));
    faults.push(...findings.filter(({ state }) => state === "failed"));
  }
  if (faults.length > 0) throw unfit(faults);
}

function versionFinding(version: string): Finding {
  const [, minor] = /^v1\.(\d+)/.exec(version) ?? [];
  const isOld = minor !== undefined && Number(minor) < OLDEST_MINOR;
  const old = `it is Kubernetes ${version}, and Fairlead is for 1.${OLDEST_MINOR} and newer; upgrade the cluster first`;
  return judged("version", `Kubernetes ${version}`, isOld ? old : undefined);
}

function clockFinding(aheadMs: number | undefined): Finding {
  if (aheadMs === undefined) return { check: "clock", state: "skipped", said: "not looked at: it tells no time" };
  const off = `${Math.round(Math.abs(aheadMs) / 1_000)} s ${aheadMs > 0 ? "ahead of" : "behind"} this machine's`;
  const fault = `its clock is ${off}; set whichever is wrong (tokens would be refused)`;
  return judged("clock", off, Math.abs(aheadMs) > CLOCK_TOLERANCE_MS ? fault : undefined);
}

async function permissionsFinding(cluster: TargetCluster, objects: readonly KubernetesObject[]): Promise<Finding> {
  const missing = await cluster.missing(rightsFor(objects));
  const which = new Set(missing.map(({ group, resource }) => (group ? `${resource}.${group}` : resource)));
  const cannotGive = (await cluster.missing(GIVERS)).length === GIVERS.length;
  return judged(
    "permissions",
    "you may make all that connects it",
    which.size > 0 ? `you may not make ${[...which].join(", ")} there; a cluster-admin may` : undefined,
    cannotGive
      ? "you may not give the right to impersonate users, since you have it not; a cluster-admin may"
      : undefined,
  );
}

async function agentFinding(cluster: TargetCluster, objects: readonly KubernetesObject[]): Promise<Finding> {
  const agent = objects.find(({ kind, metadata }) => kind === "Deployment" && metadata?.name === AGENT_DEPLOYMENT);
  const isThere = agent !== undefined && (await cluster.read(agent)) !== undefined;
  const home = objects.find(({ kind }) => kind === "Namespace");
  const isGoing = home !== undefined && (await cluster.read(home))?.metadata?.deletionTimestamp !== undefined;
  const namespace = agent?.metadata?.namespace;
  return judged(
    "agent",
    "none is there yet",
    isThere ? `it has an agent in the namespace ${namespace} already; see fairlead disconnect --help` : undefined,
    isGoing
      ? `the namespace ${namespace} is being removed, such as after an attempt; try again in a moment`
      : undefined,
  );
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

function unfit(faults: readonly Finding[]): FairleadError {
  const isWay = faults.every(({ check }) => WAY.includes(check));
  const [code, hop] = isWay ? [ErrorCode.UNREACHABLE, Hop.RELAY] : [ErrorCode.ACCESS_DENIED, Hop.APISERVER];
  const which = faults.map(({ check, said }) => `${check}: ${said}`).join("; ");
  return new FairleadError(code, hop, `this cluster cannot be connected: ${which}`);
}
