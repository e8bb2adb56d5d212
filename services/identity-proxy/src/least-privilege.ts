import { request } from "node:https";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Apiserver } from "./apiserver.ts";

/** Resources that everybody may create: Kubernetes' own system:basic-user role. */
const SELF_REVIEWS = new Set(["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"]);
/** Paths that everybody may read: system:discovery, system:public-info-viewer, system:service-account-issuer-discovery. */
const DISCOVERY = new Set([
  ...["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"],
  ...["/healthz", "/livez", "/readyz"],
  ...["/.well-known/openid-configuration", "/.well-known/openid-configuration/"],
  ...["/openid/v1/jwks", "/openid/v1/jwks/"],
]);
const CHECK_TIMEOUT_MS = 10_000;

/** A rule of SelfSubjectRulesReview (authorization.k8s.io/v1). */
interface ResourceRule {
  verbs: string[];
  resources?: string[];
}

/** A rule on paths that are no resource's. */
interface PathRule {
  verbs: string[];
  nonResourceURLs?: string[];
}

/** Where the account's rights are asked for: a RoleBinding may give rights in one namespace alone. */
const NAMESPACES = ["default", "kube-system"];

/**
 * Checks that this process's own account can do nothing but impersonate: a request that lost its impersonation
 * headers is then refused by the apiserver instead of carried out with the account's rights.
 *
 * @throws FairleadError ACCESS_DENIED naming the right that is too much; UNREACHABLE if the apiserver cannot be asked
 */
export async function checkLeastPrivilege(apiserver: Apiserver): Promise<void> {
  for (const namespace of NAMESPACES) await checkIn(namespace, apiserver);
}

async function checkIn(namespace: string, apiserver: Apiserver): Promise<void> {
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
  const paths: PathRule[] = nonResourceRules.filter((rule) => !isDiscovery(rule));
  const [excess] = [
    ...resources.map((rule) => ({ verbs: rule.verbs, what: rule.resources ?? [] })),
    ...paths.map((rule) => ({ verbs: rule.verbs, what: rule.nonResourceURLs ?? [] })),
  ];
  if (excess === undefined) return;
  const right = `${excess.verbs.join(",")} ${excess.what.join(",")}`;
  const sentence = `the identity proxy's own account may ${right}; it must have no right but to impersonate users and groups`;
  throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

/** Verbs of constrained impersonation, such as impersonate-on:user-info:list, are of no use by themselves (KEP-5284). */
function isImpersonation({ verbs }: ResourceRule): boolean {
  return verbs.every((verb) => /^impersonate($|:|-on:)/.test(verb));
}

function isDiscovery({ verbs, nonResourceURLs = [] }: PathRule): boolean {
  return verbs.every((verb) => verb === "get" || verb === "head") && nonResourceURLs.every((url) => DISCOVERY.has(url));
}

function isSelfReview({ verbs, resources = [] }: ResourceRule): boolean {
  return verbs.every((verb) => verb === "create") && resources.every((resource) => SELF_REVIEWS.has(resource));
}

async function post(apiserver: Apiserver, path: string, body: object): Promise<unknown> {
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
      headers: { "Content-Type": "application/json", ...(token !== undefined && { Authorization: `Bearer ${token}` }) },
    },
    (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("error", (cause) => reject(unreachable(cause)));
      response.on("end", () => {
        if (response.statusCode === 201) resolve(parsed(text));
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

function refused(status: number | undefined): FairleadError {
  const sentence = `the apiserver answers ${status} when the identity proxy asks for its own rights; check its credential`;
  return new FairleadError(ErrorCode.OWN_CREDENTIAL_REFUSED, Hop.IDENTITY_PROXY, sentence);
}

function unreachable(cause: Error): FairleadError {
  const sentence = `the identity proxy cannot reach the apiserver (${cause.message}); check its address and that it is up`;
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, sentence, { cause });
}
