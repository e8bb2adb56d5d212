import { CAPPED_VERB, DISCOVERY_PATHS, type ImpersonationMode, SELF_REVIEWS } from "@fairlead/authorization";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Apiserver } from "./apiserver.ts";
import { post, unreachable } from "./apiserver-request.ts";
import { impersonationHeaders } from "./impersonation.ts";

const SELF_REVIEWED = new Set(SELF_REVIEWS.flatMap((rule) => rule.resources ?? []));

/** A rule of SelfSubjectRulesReview (authorization.k8s.io/v1). */
interface ResourceRule {
  verbs: string[];
  resources?: string[];
  resourceNames?: string[];
}

/** A rule on paths that are no resource's. */
interface PathRule {
  verbs: string[];
  nonResourceURLs?: string[];
}

/** Where the account's rights are asked for: a RoleBinding may give rights in one namespace alone. */
const NAMESPACES = ["default", "kube-system"];

/** Who is impersonated to see whether it works: nobody, who has no rights. */
const PROBE = "fairlead:probe";

/** What the account may do. */
export interface Rights {
  /** With plain rights beside capped ones the cap limits nobody, so it is plain then. */
  mode: ImpersonationMode;
  /** Whether it may impersonate a kind of thing, whichever: `uids`, `serviceaccounts`, `userextras/KEY`. */
  mayImpersonate(resource: string): boolean;
}

/**
 * Checks that this process's own account can impersonate and do nothing else: a request that lost its impersonation
 * headers is then refused by the apiserver instead of carried out with the account's rights.
 *
 * @throws FairleadError ACCESS_DENIED naming the right that is too much, or what is missing; UNREACHABLE if the
 *   apiserver cannot be asked
 */
export async function checkLeastPrivilege(apiserver: Apiserver): Promise<Rights> {
  const everywhere = await Promise.all(NAMESPACES.map((namespace) => rulesIn(namespace, apiserver)));
  const rules = everywhere.flat();
  const verbs = new Set(rules.flatMap((rule) => rule.verbs));
  const mode = verbs.has("impersonate") ? "plain" : verbs.has(CAPPED_VERB) ? "capped" : undefined;
  if (mode === undefined) throw cannotImpersonate("it has no right to");
  const [here = new Set<string>(), ...elsewhere] = everywhere.map((rules) => impersonatedBy(rules, mode));
  const resources = new Set([...here].filter((resource) => elsewhere.every((others) => others.has(resource))));
  const mayImpersonate = (resource: string): boolean => resources.has(resource) || resources.has("*");
  const isByName = rules.some(({ resourceNames = [] }) => resourceNames.length > 0);
  if (!isByName) await probe(apiserver, resources);
  return { mode, mayImpersonate };
}

/** Which resources, of whatever name, rules let the account impersonate. */
function impersonatedBy(rules: readonly ResourceRule[], mode: ImpersonationMode): Set<string> {
  const verb = mode === "plain" ? "impersonate" : CAPPED_VERB;
  const count = rules.filter(({ verbs, resourceNames = [] }) => verbs.includes(verb) && resourceNames.length === 0);
  return new Set(count.flatMap(({ resources = [] }) => resources));
}

/** The account's rights to impersonate in a namespace. @throws FairleadError if there are others */
async function rulesIn(namespace: string, apiserver: Apiserver): Promise<ResourceRule[]> {
  const { status, body } = await post(apiserver, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectRulesReview",
    spec: { namespace },
  });
  if (status !== 201) throw refused(status);
  const { resourceRules, nonResourceRules } = Object(Object(body).status);
  if (!Array.isArray(resourceRules) || !Array.isArray(nonResourceRules)) {
    throw unreachable(new Error("its answer is no SelfSubjectRulesReview"));
  }
  const resources: ResourceRule[] = resourceRules.filter((rule) => !isImpersonation(rule) && !isSelfReview(rule));
  const paths: PathRule[] = nonResourceRules.filter((rule) => !isDiscovery(rule) && !isImpersonation(rule));
  const [excess] = [
    ...resources.map((rule) => ({ verbs: rule.verbs, what: rule.resources ?? [] })),
    ...paths.map((rule) => ({ verbs: rule.verbs, what: rule.nonResourceURLs ?? [] })),
  ];
  if (excess === undefined) return resourceRules.filter(isImpersonation);
  const right = `${excess.verbs.join(",")} ${excess.what.join(",")}`;
  const sentence = `the identity proxy's own account may ${right}; it must have no right but to impersonate users and groups`;
  throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

/** Impersonates nobody for a review of themselves: a right that is missing would refuse everybody's requests. */
async function probe(apiserver: Apiserver, resources: ReadonlySet<string>): Promise<void> {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const keys = [...resources].flatMap((resource) => /^userextras\/(.+)/.exec(resource)?.[1] ?? []);
  const nobody = impersonationHeaders({
    ...{ user: PROBE, groups: [PROBE], uid: resources.has("uids") ? PROBE : undefined },
    extra: Object.fromEntries(keys.map((key) => [key, [PROBE]])),
  });
  const { status, body } = await post(apiserver, "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, nobody);
  if (status === 403) throw cannotImpersonate(messageOf(body));
  if (status !== 201) throw refused(status);
}

/** Verbs of constrained impersonation, such as impersonate-on:user-info:list, are of no use by themselves (KEP-5284). */
function isImpersonation({ verbs }: { verbs: string[] }): boolean {
  return verbs.every((verb) => /^impersonate($|:|-on:)/.test(verb));
}

function isDiscovery({ verbs, nonResourceURLs = [] }: PathRule): boolean {
  return (
    verbs.every((verb) => verb === "get" || verb === "head") &&
    nonResourceURLs.every((url) => DISCOVERY_PATHS.includes(url))
  );
}

function isSelfReview({ verbs, resources = [] }: ResourceRule): boolean {
  return verbs.every((verb) => verb === "create") && resources.every((resource) => SELF_REVIEWED.has(resource));
}

function messageOf(status: unknown): string {
  return String(Object(status).message ?? "the apiserver refuses it");
}

function refused(status: number): FairleadError {
  const sentence = `the apiserver answers ${status} when the identity proxy asks for its own rights; check its credential`;
  return new FairleadError(ErrorCode.OWN_CREDENTIAL_REFUSED, Hop.IDENTITY_PROXY, sentence);
}

function cannotImpersonate(reason: string): FairleadError {
  const remedy = "give it the ClusterRole that `fairlead rbac` prints; a capped one needs Kubernetes 1.36";
  const sentence = `the identity proxy's own account cannot impersonate (${reason}); ${remedy}`;
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}
