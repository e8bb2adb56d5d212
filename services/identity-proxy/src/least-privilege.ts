import { request } from "node:https";
import { CAPPED_VERB, DISCOVERY_PATHS, type ImpersonationMode, SELF_REVIEWS } from "@fairlead/authorization";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Apiserver } from "./apiserver.ts";

const SELF_REVIEWED = new Set(SELF_REVIEWS.flatMap((rule) => rule.resources ?? []));
const CHECK_TIMEOUT_MS = 10_000;

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

/**
 * Checks that this process's own account can impersonate and do nothing else: a request that lost its impersonation
 * headers is then refused by the apiserver instead of carried out with the account's rights.
 *
 * @returns how it may impersonate. With plain rights beside capped ones the cap limits nobody, so it is plain then
 * @throws FairleadError ACCESS_DENIED naming the right that is too much, or what is missing; UNREACHABLE if the
 *   apiserver cannot be asked
 */
export async function checkLeastPrivilege(apiserver: Apiserver): Promise<ImpersonationMode> {
  const rules = (await Promise.all(NAMESPACES.map((namespace) => rulesIn(namespace, apiserver)))).flat();
  const verbs = new Set(rules.flatMap((rule) => rule.verbs));
  const mode = verbs.has("impersonate") ? "plain" : verbs.has(CAPPED_VERB) ? "capped" : undefined;
  if (mode === undefined) throw cannotImpersonate("it has no right to");
  const isByName = rules.some(({ resourceNames = [] }) => resourceNames.length > 0);
  if (!isByName) await probe(apiserver);
  return mode;
}

/** The account's rights to impersonate in a namespace. @throws FairleadError if there are others */
async function rulesIn(namespace: string, apiserver: Apiserver): Promise<ResourceRule[]> {
  const review = await post(apiserver, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectRulesReview",
    spec: { namespace },
  });
  const { resourceRules, nonResourceRules } = Object(Object(review).status);
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
async function probe(apiserver: Apiserver): Promise<void> {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const headers = { "Impersonate-User": PROBE, "Impersonate-Group": PROBE };
  await post(apiserver, "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, headers);
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

async function post(
  apiserver: Apiserver,
  path: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<unknown> {
  const { address, token } = await apiserver.connection();
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const sent = request(
    {
      host: address.host,
      port: address.port,
      ...address.tls,
      agent: false, // once, at start-up
      path,
      method: "POST",
      timeout: CHECK_TIMEOUT_MS,
      headers: {
        "Content-Type": "application/json",
        ...(token !== undefined && { Authorization: `Bearer ${token}` }),
        ...headers,
      },
    },
    (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("error", (cause) => reject(unreachable(cause)));
      response.on("end", () => {
        if (response.statusCode === 201) resolve(parsed(text));
        else if (response.statusCode === 403 && "Impersonate-User" in headers)
          reject(cannotImpersonate(messageOf(text)));
        else reject(refused(response.statusCode));
      });
    },
  );
  sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
  sent.on("error", (cause) => reject(unreachable(cause)));
  sent.end(JSON.stringify(body));
  return promise;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function messageOf(status: string): string {
  return String(Object(parsed(status)).message ?? "the apiserver refuses it");
}

function refused(status: number | undefined): FairleadError {
  const sentence = `the apiserver answers ${status} when the identity proxy asks for its own rights; check its credential`;
  return new FairleadError(ErrorCode.OWN_CREDENTIAL_REFUSED, Hop.IDENTITY_PROXY, sentence);
}

function cannotImpersonate(reason: string): FairleadError {
  const remedy = "give it the ClusterRole that `fairlead rbac` prints; a capped one needs Kubernetes 1.36";
  const sentence = `the identity proxy's own account cannot impersonate (${reason}); ${remedy}`;
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

function unreachable(cause: Error): FairleadError {
  const sentence = `the identity proxy cannot reach the apiserver (${cause.message}); check its address and that it is up`;
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, sentence, { cause });
}
