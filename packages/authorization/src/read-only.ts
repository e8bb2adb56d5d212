import { type RequestInfo, type RequestLine, type ResourceRequest, requestInfoOf } from "./request-info.ts";

const READING_METHODS = new Set(["GET", "HEAD"]);
const READING_VERBS = new Set(["get", "list", "watch"]);

/**
 * Subresources that run commands, open connections or act through another server, whatever the method: an exec is a
 * GET over WebSocket and a POST over SPDY (KEP 4006). `proxy` reaches all of a kubelet's, a pod's or a service's own
 * API; `vnc`, `console` and the like of KubeVirt are found by their upgrade.
 */
const ACTING_SUBRESOURCES = new Set(["exec", "attach", "portforward", "proxy"]);

/** Creates that store nothing and tell the caller about themselves: `kubectl auth can-i` and `kubectl auth whoami`. */
const SELF_REVIEWS: ReadonlySet<string> = new Set([
  "authorization.k8s.io/selfsubjectaccessreviews",
  "authorization.k8s.io/selfsubjectrulesreviews",
  "authentication.k8s.io/selfsubjectreviews",
]);

/**
 * Whether a request only reads. Reading a Secret is reading. What cannot be told is not.
 *
 * @param request what is asked of a cluster
 */
export function isReadOnly(request: RequestLine): boolean {
  const info = requestInfoOf(request);
  if (info === undefined) return false;
  if (info.kind === "non-resource") return READING_METHODS.has(request.method) && request.upgrade === "";
  if (isSelfReview(request.method, info)) return request.upgrade === "";
  if (!READING_METHODS.has(request.method) || !READING_VERBS.has(info.verb)) return false;
  if (ACTING_SUBRESOURCES.has(info.subresource.toLowerCase())) return false;
  return request.upgrade === "" || (info.verb === "watch" && info.subresource === "");
}

/** Whether a request watches: its answer is a stream of events without end. */
export function isWatch(request: RequestLine): boolean {
  const info = requestInfoOf(request);
  return info?.kind === "resource" && info.verb === "watch" && request.method === "GET";
}

function isSelfReview(
  method: string,
  { verb, apiGroup, resource, name, namespace, subresource }: ResourceRequest,
): boolean {
  const isCreate = method === "POST" && verb === "create";
  return isCreate && namespace + name + subresource === "" && SELF_REVIEWS.has(`${apiGroup}/${resource}`);
}

/**
 * A request in the words of `kubectl auth can-i`, such as `create pods/exec`, for a sentence to people.
 *
 * @returns at most 100 characters
 */
export function inWords(request: RequestLine): string {
  const info = requestInfoOf(request);
  return info === undefined ? `${request.method} of an unclear path` : cut(wordsOf(info, request.upgrade));
}

function wordsOf(info: RequestInfo, upgrade: string): string {
  const verb = info.verb || "an unknown method on";
  if (info.kind === "non-resource") return `${verb} ${info.path}`;
  const { apiGroup, resource, subresource } = info;
  // An upgrade is asked for as `create`, whatever its method (KEP 4006).
  const asked = upgrade !== "" && verb !== "watch" ? "create" : verb;
  return `${asked} ${resource}${apiGroup && `.${apiGroup}`}${subresource && `/${subresource}`}`;
}

function cut(words: string): string {
  return words.length > 100 ? `${words.slice(0, 99)}…` : words;
}
