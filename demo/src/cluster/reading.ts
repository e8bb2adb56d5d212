import { negotiateRepresentation } from "./accept.ts";
import { type ApiRequest, sendJson } from "./api-request.ts";
import { type KubernetesObject, objectKey } from "./kubernetes-object.ts";
import type { ResourceTarget } from "./request-target.ts";
import { apiVersionOf, type ResourceType } from "./resource-types.ts";
import { selectorFrom } from "./selectors.ts";
import { StatusError } from "./status.ts";
import type { Store } from "./store.ts";
import { includeObjectOf, tableOf } from "./table.ts";

/** Answers `get` of one object. */
export function answerGet(request: ApiRequest, store: Store, type: ResourceType, target: ResourceTarget): void {
  const object = store.get(type, namespaceOf(type, target), target.name ?? "");
  if (negotiateRepresentation(request.incoming.headers.accept) === "object") {
    sendJson(request.response, 200, object);
    return;
  }
  const { resourceVersion } = object.metadata;
  const table = tableOf(type, [object], includeObjectOf(request.url.searchParams));
  sendJson(request.response, 200, { ...table, metadata: { resourceVersion } });
}

/** Answers `list`, in chunks when the client sets `limit`. */
export function answerList(request: ApiRequest, store: Store, type: ResourceType, target: ResourceTarget): void {
  const query = request.url.searchParams;
  checkVersionReached(store, query.get("resourceVersion"));
  const selected = store.list(type, namespaceOf(type, target)).filter(selectorFrom(query));
  const { items, metadata } = chunkOf(selected, query, store);
  if (negotiateRepresentation(request.incoming.headers.accept) === "table") {
    sendJson(request.response, 200, { ...tableOf(type, items, includeObjectOf(query)), metadata });
    return;
  }
  sendJson(request.response, 200, { kind: `${type.kind}List`, apiVersion: apiVersionOf(type), metadata, items });
}

/** A namespace in the path of a cluster-scoped type is that object's own name. */
export function namespaceOf(type: ResourceType, target: ResourceTarget): string | undefined {
  return type.namespaced ? target.namespace : undefined;
}

interface ListMetadata {
  resourceVersion: string;
  continue?: string;
  remainingItemCount?: number;
}

/**
 * The next `limit` items. Later chunks show the present state but keep the first chunk's resourceVersion:
 * a watch from there replays whatever changed in between.
 */
function chunkOf(
  objects: KubernetesObject[],
  query: URLSearchParams,
  store: Store,
): { items: KubernetesObject[]; metadata: ListMetadata } {
  const from = continuation(query, store);
  const rest = objects.filter((object) => keyOf(object) > from.afterKey);
  const limit = Number(query.get("limit") ?? 0);
  const resourceVersion = String(from.resourceVersion);
  const items = limit > 0 ? rest.slice(0, limit) : rest;
  const last = items.at(-1);
  if (last === undefined || items.length === rest.length) return { items, metadata: { resourceVersion } };
  const token = Buffer.from(JSON.stringify([from.resourceVersion, keyOf(last)])).toString("base64url");
  const remainingItemCount = rest.length - items.length;
  return { items, metadata: { resourceVersion, continue: token, remainingItemCount } };
}

/** @throws StatusError BadRequest for a foreign token, Expired for one older than the watch history */
function continuation(query: URLSearchParams, store: Store): { resourceVersion: number; afterKey: string } {
  const token = query.get("continue");
  if (!token) return { resourceVersion: store.resourceVersion, afterKey: "" };
  const [resourceVersion, afterKey] = parseToken(token);
  if (typeof resourceVersion !== "number" || typeof afterKey !== "string") {
    throw new StatusError("BadRequest", "continue key is not valid");
  }
  store.eventAfter(resourceVersion);
  return { resourceVersion, afterKey };
}

function parseToken(token: string): unknown[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    return Array.isArray(parsed) ? parsed : [];
  } catch {
    return [];
  }
}

function checkVersionReached(store: Store, resourceVersion: string | null): void {
  if (Number(resourceVersion ?? 0) <= store.resourceVersion) return;
  const message = `Too large resource version: ${resourceVersion}, current: ${store.resourceVersion}`;
  throw new StatusError("Timeout", message);
}

function keyOf(object: KubernetesObject): string {
  return objectKey(object.metadata.namespace, object.metadata.name);
}
