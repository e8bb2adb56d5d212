import { StatusError } from "./status.ts";

/** What a request addresses: an API resource, or one of the fixed paths such as /version. */
export type RequestTarget =
  | { on: "path"; verb: string; path: string }
  | {
      on: "resource";
      verb: string;
      group: string;
      version: string;
      resource: string;
      namespace?: string;
      name?: string;
      subresource?: string;
    };

export type ResourceTarget = Extract<RequestTarget, { on: "resource" }>;

/**
 * Reads method and path the way the API server's RequestInfo does.
 * @param method HTTP method
 * @param url the address with its query; `watch=true` changes the verb
 * @throws StatusError BadRequest for a path with a malformed escape
 * @see https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
 */
export function parseTarget(method: string, url: URL): RequestTarget {
  const [root, ...rest] = url.pathname
    .split("/")
    .filter((part) => part !== "")
    .map(decodeSegment);
  const parts = root === "api" ? ["", ...rest] : rest;
  const [group = "", version = "", ...below] = parts;
  if ((root !== "api" && root !== "apis") || below.length === 0) {
    return { on: "path", verb: method.toLowerCase(), path: url.pathname };
  }
  const [first = "", second, third] = below;
  const inNamespace = first === "namespaces" && second !== undefined && third !== undefined;
  const [resource = "", name, subresource] = inNamespace ? below.slice(2) : below;
  // `namespaces/x` itself counts as inside namespace x, as in the real RequestInfo.
  const namespace = first === "namespaces" ? second : undefined;
  return {
    on: "resource",
    verb: verbOf(method, name, url.searchParams),
    group,
    version,
    resource,
    ...(namespace !== undefined && { namespace }),
    ...(name !== undefined && { name }),
    ...(subresource !== undefined && { subresource }),
  };
}

function verbOf(method: string, name: string | undefined, query: URLSearchParams): string {
  switch (method) {
    case "GET":
    case "HEAD":
      if (isTrue(query.get("watch"))) return "watch";
      return name === undefined ? "list" : "get";
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return "patch";
    case "DELETE":
      return name === undefined ? "deletecollection" : "delete";
    default:
      return method.toLowerCase();
  }
}

/** Query flags are "true" or "1"; a flag without a value counts as set. */
export function isTrue(flag: string | null): boolean {
  return flag !== null && flag !== "false" && flag !== "0";
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new StatusError("BadRequest", "the request path holds a malformed percent escape");
  }
}
