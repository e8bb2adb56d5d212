import type { RequestTarget } from "../request-target.ts";
import { StatusError } from "../status.ts";
import type { Identity } from "./authentication.ts";

/** What a request wants, in the terms of a SubjectAccessReview. */
export type AccessAttributes =
  | { on: "resource"; verb: string; group: string; resource: string; namespace?: string }
  | { on: "path"; verb: string; path: string };

interface ResourceRule {
  verbs: string[];
  apiGroups: string[];
  resources: string[];
}

interface PathRule {
  verbs: string[];
  nonResourceURLs: string[];
}

/** The rules of one identity, as SelfSubjectRulesReview lists them. */
export interface AccessRules {
  resourceRules: ResourceRule[];
  nonResourceRules: PathRule[];
}

const everything: AccessRules = {
  resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
  nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
};

// What an agent's service account holds in a real cluster: impersonation, plus what the cluster roles
// system:basic-user and system:discovery give everyone.
const impersonateOnly: AccessRules = {
  resourceRules: [
    { verbs: ["impersonate"], apiGroups: [""], resources: ["users", "groups"] },
    { verbs: ["create"], apiGroups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"] },
    {
      verbs: ["create"],
      apiGroups: ["authorization.k8s.io"],
      resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
  ],
  nonResourceRules: [
    {
      verbs: ["get"],
      nonResourceURLs: [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
      ],
    },
  ],
};

/** The one rule table behind both the decisions and the reviews, so they cannot disagree. */
export function rulesOf(identity: Identity): AccessRules {
  return identity.rights === "everything" ? everything : impersonateOnly;
}

/** Decides one access from the identity's rules. */
export function isAllowed(identity: Identity, wanted: AccessAttributes): boolean {
  const rules = rulesOf(identity);
  if (wanted.on === "path") {
    return rules.nonResourceRules.some(
      (rule) =>
        covers(rule.verbs, wanted.verb) && rule.nonResourceURLs.some((pattern) => matches(pattern, wanted.path)),
    );
  }
  return rules.resourceRules.some(
    (rule) =>
      covers(rule.verbs, wanted.verb) &&
      covers(rule.apiGroups, wanted.group) &&
      covers(rule.resources, wanted.resource),
  );
}

/** @throws StatusError Forbidden, worded as the real RBAC authorizer words it */
export function authorize(identity: Identity, target: RequestTarget): void {
  const wanted: AccessAttributes =
    target.on === "path" ? target : { ...target, resource: withSubresource(target.resource, target.subresource) };
  if (isAllowed(identity, wanted)) return;
  const user = `User "${identity.username}"`;
  if (wanted.on === "path") {
    throw new StatusError("Forbidden", `forbidden: ${user} cannot ${wanted.verb} path "${wanted.path}"`);
  }
  const where = wanted.namespace === undefined ? "at the cluster scope" : `in the namespace "${wanted.namespace}"`;
  const { verb, group, resource } = wanted;
  const refused = `${user} cannot ${verb} resource "${resource}" in API group "${group}" ${where}`;
  throw new StatusError("Forbidden", `${resource} is forbidden: ${refused}`, { kind: resource, group });
}

/** RBAC writes a subresource as `pods/log`. */
export function withSubresource(resource: string, subresource: string | undefined): string {
  return subresource ? `${resource}/${subresource}` : resource;
}

function covers(allowed: string[], wanted: string): boolean {
  return allowed.includes("*") || allowed.includes(wanted);
}

function matches(pattern: string, path: string): boolean {
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}
