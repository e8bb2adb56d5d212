import { ORIGINAL_USER_KEY, WAY_KEYS } from "./extras.ts";

/** A rule of a ClusterRole (rbac.authorization.k8s.io/v1): on resources, or on paths that are no resource's. */
export interface PolicyRule {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  nonResourceURLs?: string[];
}

/**
 * How an identity proxy's account may impersonate. `plain`: people may do what their own RBAC lets them. `capped`: the
 * apiserver itself limits verbs and resources for everybody who comes through, cluster-admins included (constrained
 * impersonation, KEP-5284, Kubernetes 1.36).
 */
export type ImpersonationMode = "plain" | "capped";

const AUTHENTICATION = "authentication.k8s.io";
/** The verb of the account on people, in capped mode. */
export const CAPPED_VERB = "impersonate:user-info";
/** Begins the verb that the account needs for each request in capped mode, besides what the person may do. */
const CAP_VERB = "impersonate-on:user-info:";

/** Paths that everybody may read: system:discovery, system:public-info-viewer, system:service-account-issuer-discovery. */
export const DISCOVERY_PATHS = [
  ...["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"],
  ...["/healthz", "/livez", "/readyz"],
  ...["/.well-known/openid-configuration", "/.well-known/openid-configuration/"],
  ...["/openid/v1/jwks", "/openid/v1/jwks/"],
];

/** Reviews that everybody may make of themselves: system:basic-user. */
export const SELF_REVIEWS: readonly PolicyRule[] = [
  { verbs: ["create"], apiGroups: [AUTHENTICATION], resources: ["selfsubjectreviews"] },
  {
    verbs: ["create"],
    apiGroups: ["authorization.k8s.io"],
    resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
  },
];

/** What of people an account impersonates, besides their names and groups. */
export interface ImpersonationNeeds {
  /** Whether tokens give uids, by the authentication configuration. */
  uids?: boolean;
  /** Keys of the extras that tokens give, likewise. */
  extraKeys?: readonly string[];
  /** Whether callers may act as somebody else (`--as`), as far as their own rights go. */
  actingAs?: boolean;
}

/**
 * The rules that an identity proxy's account needs, and no other: the one place that says so. Each extra's key is a
 * right of its own; the apiserver refuses all of a request for one that is missing.
 *
 * @param cap what everybody who comes through is limited to, from {@link capRules}; undefined for no limit
 */
export function impersonationRules(needs: ImpersonationNeeds = {}, cap?: readonly PolicyRule[]): PolicyRule[] {
  const { uids = false, extraKeys = [], actingAs = false } = needs;
  const keys = [...Object.values(WAY_KEYS), ...(actingAs ? [ORIGINAL_USER_KEY] : []), ...extraKeys];
  const details = [...(uids || actingAs ? ["uids"] : []), ...keys.map((key) => `userextras/${key}`)];
  if (cap !== undefined) {
    return [
      { verbs: [CAPPED_VERB], apiGroups: [AUTHENTICATION], resources: ["users", "groups", ...details] },
      // Discovery and reviews of themselves: kubectl does nothing without them, and they show nothing of the cluster's.
      ...SELF_REVIEWS.map((rule) => ({ ...rule, verbs: rule.verbs.map((verb) => CAP_VERB + verb) })),
      { verbs: [`${CAP_VERB}get`], nonResourceURLs: DISCOVERY_PATHS },
      ...cap,
    ];
  }
  // For this verb, users, groups and service accounts are the core group's, and the others are not (apiserver, impersonation.go).
  const people = ["users", "groups", ...(actingAs ? ["serviceaccounts"] : [])];
  return [
    { verbs: ["impersonate"], apiGroups: [""], resources: people },
    { verbs: ["impersonate"], apiGroups: [AUTHENTICATION], resources: details },
  ];
}

/** Verbs by which a wildcard would let exec through: over WebSocket it is a `get` of pods/exec, over SPDY a `create`. */
const EXEC_VERBS = new Set(["get", "create"]);
/** Resources that include exec or what is as good: pods/exec, pods/attach, nodes/proxy, services/proxy. */
const INCLUDES_EXEC = /^(\*(\/\*)?|(pods|nodes|services)\/\*)$/;

/**
 * A part of a cap, as people write it.
 *
 * @param text `VERBS:RESOURCES`, both with commas; a resource as kubectl has it (`pods`, `pods/log`, `deployments.apps`,
 *   `*.apps`, `*` for all of all groups, though not for get and create: it would include exec), or a path that begins
 *   with `/`
 * @returns one rule for each API group, and one for the paths
 * @throws Error if it is not of that form, or would let exec through without naming it
 */
export function capRules(text: string): PolicyRule[] {
  const [, verbList = "", resourceList = ""] = /^([a-z]+(?:,[a-z]+)*):(\S+)$/.exec(text) ?? [];
  if (verbList === "") throw notACap(text); // no verb `*`: RBAC has no wildcard for the end of a verb
  const named = verbList.split(",");
  const verbs = named.map((verb) => CAP_VERB + verb);
  const byGroup = new Map<string, string[]>();
  const paths: string[] = [];
  for (const each of resourceList.split(",")) {
    const [, resource, subresource = "", group] =
      /^([a-z0-9-]+|\*)(\/[a-z0-9-]+|\/\*)?(?:\.([a-z0-9.-]+))?$/.exec(each) ?? [];
    if (/^\/\S*$/.test(each)) paths.push(each);
    else if (resource === undefined) throw notACap(text);
    else {
      if (
        group === undefined &&
        INCLUDES_EXEC.test(resource + subresource) &&
        named.some((verb) => EXEC_VERBS.has(verb))
      ) {
        throw new Error(`${text}: get or create of ${each} would let exec through as well; name the resources`);
      }
      const apiGroup = group ?? (resource === "*" ? "*" : "");
      byGroup.set(apiGroup, [...(byGroup.get(apiGroup) ?? []), resource + subresource]);
    }
  }
  const resourceRules = [...byGroup].map(([group, resources]) => ({ verbs, apiGroups: [group], resources }));
  return [...resourceRules, ...(paths.length > 0 ? [{ verbs, nonResourceURLs: paths }] : [])];
}

function notACap(text: string): Error {
  return new Error(`${text} is no cap; write VERBS:RESOURCES, such as get,list,watch:pods,pods/log,deployments.apps`);
}
