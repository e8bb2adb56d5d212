/** What is asked of a cluster, as much of it as a judgement needs. */
export interface RequestLine {
  /** The HTTP method. */
  method: string;
  /** Path and query in origin form. */
  target: string;
  /** The protocol asked for by an Upgrade header; empty if none. */
  upgrade: string;
}

/** A request in the terms of Kubernetes' authorization. */
export type RequestInfo = ResourceRequest | NonResourceRequest;

/** A request for objects of the API. Texts are empty where a request does not say them. */
export interface ResourceRequest {
  kind: "resource";
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `proxy`; empty for other methods. */
  verb: string;
  /** Empty for the core group. */
  apiGroup: string;
  apiVersion: string;
  namespace: string;
  resource: string;
  name: string;
  subresource: string;
}

/** A request for something else, such as `/version`. */
export interface NonResourceRequest {
  kind: "non-resource";
  /** The method in lower case. */
  verb: string;
  /** The path, decoded. */
  path: string;
}

const VERBS: ReadonlyMap<string, string> = new Map([
  ["POST", "create"],
  ["GET", "get"],
  ["HEAD", "get"],
  ["PUT", "update"],
  ["PATCH", "patch"],
  ["DELETE", "delete"],
]);
/** Verbs that the deprecated `/api/v1/watch/pods` and `/api/v1/proxy/nodes/n` have in their path. */
const PATH_VERBS = new Set(["proxy", "watch"]);
const NAMESPACE_SUBRESOURCES = new Set(["status", "finalize"]);

/**
 * Reads a request as kube-apiserver does before it authorizes it (k8s.io/apiserver, endpoints/request/requestinfo.go).
 *
 * @returns undefined where the path could be read in more than one way: empty or dot segments, encoded slashes,
 *   escapes that are none. The apiserver or what stands before it may mend such a path, and then mean another.
 */
export function requestInfoOf({ method, target }: RequestLine): RequestInfo | undefined {
  const [path = "", query] = splitOnce(target, "?");
  const segments = segmentsOf(path);
  if (segments === undefined) return undefined;
  const [prefix, ...rest] = segments;
  const isGroupless = prefix === "api";
  if (segments.length < (isGroupless ? 3 : 4) || !(isGroupless || prefix === "apis")) {
    return { kind: "non-resource", verb: method.toLowerCase(), path: `/${segments.join("/")}` };
  }
  const apiGroup = isGroupless ? "" : (rest.shift() ?? "");
  const apiVersion = rest.shift() ?? "";
  const pathVerb = PATH_VERBS.has(rest[0] ?? "") ? rest.shift() : undefined;
  if (rest.length === 0) return undefined; // a verb and nothing behind it
  const isNamespaced = rest[0] === "namespaces";
  const namespace = isNamespaced ? (rest[1] ?? "") : "";
  const parts = isNamespaced && rest.length > 2 && !NAMESPACE_SUBRESOURCES.has(rest[2] ?? "") ? rest.slice(2) : rest;
  const [resource = "", name = "", third = ""] = parts;
  const subresource = pathVerb === "proxy" ? "" : third;
  const verb = pathVerb ?? verbOf(method, name, query);
  return { kind: "resource", verb, apiGroup, apiVersion, namespace, resource, name, subresource };
}

function verbOf(method: string, name: string, query: string | undefined): string {
  const verb = VERBS.get(method) ?? "";
  if (name !== "") return verb;
  if (verb === "get") return asksToWatch(query) ? "watch" : "list";
  return verb === "delete" ? "deletecollection" : verb;
}

/** Whatever is not `false` or `0` is true (apimachinery, runtime.Convert_Slice_string_To_bool); the first one counts. */
function asksToWatch(query = ""): boolean {
  const value = new URLSearchParams(query).get("watch")?.toLowerCase();
  return value !== undefined && value !== "false" && value !== "0";
}

/** The segments of a path, decoded once; undefined if another reader could see others. One slash at the end is nothing. */
function segmentsOf(path: string): string[] | undefined {
  if (path === "/") return [];
  if (!path.startsWith("/")) return undefined;
  const raw = path.slice(1, path.endsWith("/") ? -1 : undefined).split("/");
  const decoded = raw.map(decodedSegment);
  return decoded.includes(undefined) ? undefined : (decoded as string[]);
}

function decodedSegment(raw: string): string | undefined {
  let segment: string;
  try {
    segment = decodeURIComponent(raw);
  } catch {
    return undefined;
  }
  const isPlain = segment !== "" && segment !== "." && segment !== ".." && !UNCLEAR.test(segment);
  return isPlain ? segment : undefined;
}

/**
 * Slashes and control characters, and what some readers cut a path at. A percent sign that is left would be another
 * character to whoever decodes twice.
 */
const UNCLEAR = /[/\\%?#;\p{Cc}]/u;

function splitOnce(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at);
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}
