import { authorize } from "./access/authorization.ts";
import { answerReview, isReview } from "./access/reviews.ts";
import { type ApiRequest, sendJson } from "./api-request.ts";
import { answerDiscovery } from "./discovery/discovery.ts";
import { openApiDocument } from "./discovery/openapi.ts";
import { openApiV2Document, openApiV2MediaType } from "./discovery/openapi-v2.ts";
import type { LogBook } from "./log-book.ts";
import { answerPodLog } from "./pod-log.ts";
import { answerGet, answerList, namespaceOf } from "./reading.ts";
import { parseTarget, type RequestTarget, type ResourceTarget } from "./request-target.ts";
import { findResourceType, pods, type ResourceType } from "./resource-types.ts";
import { demoVersion } from "./seed.ts";
import { StatusError, unknownAddress } from "./status.ts";
import type { Store } from "./store.ts";
import { answerWatch } from "./watch.ts";
import { answerCreate, answerDelete, answerPatch, answerUpdate } from "./writing.ts";

/** The state behind all answers. */
export interface Cluster {
  store: Store;
  logs: LogBook;
}

/**
 * Authorizes a request and hands it to the file that answers it.
 * @throws StatusError whatever the client is to be told
 */
export async function routeRequest(request: ApiRequest, cluster: Cluster): Promise<void> {
  const target = authorizedTarget(request);
  if (target.on === "path") return answerPath(request, target.path, target.verb);
  const type = typeOf(target);
  if (target.subresource !== undefined) return answerSubresource(request, cluster, type, target);
  if (!type.verbs.some((verb) => verb === target.verb)) throw notAllowed();
  if (isReview(type)) return answerReview(request, type);
  // Across all namespaces one can only look; and a single object needs its namespace.
  const acrossNamespaces = type.namespaced && target.namespace === undefined;
  if (acrossNamespaces && target.name !== undefined) throw unknownAddress();
  if (acrossNamespaces && target.verb === "create") throw notAllowed();
  return answerVerb(request, cluster.store, type, target);
}

/** What the request addresses, once its identity may. */
export function authorizedTarget({ incoming, url, identity }: ApiRequest): RequestTarget {
  const target = parseTarget(incoming.method ?? "GET", url);
  authorize(identity, target);
  return target;
}

async function answerVerb(
  request: ApiRequest,
  store: Store,
  type: ResourceType,
  target: ResourceTarget,
): Promise<void> {
  switch (target.verb) {
    case "get":
      return answerGet(request, store, type, target);
    case "list":
      return answerList(request, store, type, target);
    case "watch":
      return answerWatch(request, store, type, namespaceOf(type, target), target.name);
    case "create":
      return answerCreate(request, store, type, target);
    case "update":
      return answerUpdate(request, store, type, target);
    case "patch":
      return answerPatch(request, store, type, target);
    case "delete":
      return answerDelete(request, store, type, target);
    default:
      throw notAllowed();
  }
}

async function answerSubresource(
  request: ApiRequest,
  { store, logs }: Cluster,
  type: ResourceType,
  target: ResourceTarget,
): Promise<void> {
  const { namespace, name = "", subresource } = target;
  if (type !== pods || (subresource !== "log" && subresource !== "exec")) throw unknownAddress();
  const pod = store.get(pods, namespace, name);
  if (subresource === "log") return answerPodLog(request, logs, pod);
  throw new StatusError("BadRequest", "Upgrade request required");
}

function answerPath(request: ApiRequest, path: string, verb: string): void {
  if (verb !== "get" && verb !== "head") throw notAllowed();
  const { response } = request;
  if (answerDiscovery(request, path)) return;
  if (path === "/version" || path === "/version/") sendJson(response, 200, versionAnswer());
  else if (/^\/(healthz|livez|readyz)$/.test(path)) response.writeHead(200, { "content-type": "text/plain" }).end("ok");
  else if (path === "/openapi/v2") {
    response.writeHead(200, { "content-type": openApiV2MediaType }).end(openApiV2Document());
  } else {
    const document = openApiDocument(path);
    if (document === undefined) throw unknownAddress();
    sendJson(response, 200, document);
  }
}

function versionAnswer(): unknown {
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(demoVersion) ?? [];
  const build = { gitCommit: "demo", gitTreeState: "clean", buildDate: "2026-01-01T00:00:00Z", goVersion: "none" };
  return { major, minor, gitVersion: demoVersion, ...build, compiler: "none", platform: "fairlead/demo" };
}

function typeOf({ group, version, resource }: ResourceTarget): ResourceType {
  const type = findResourceType(group, version, resource);
  if (!type) throw unknownAddress();
  return type;
}

function notAllowed(): StatusError {
  return new StatusError("MethodNotAllowed", "the server does not allow this method on the requested resource");
}
