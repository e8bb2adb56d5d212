import { negotiateRepresentation, type Representation } from "./accept.ts";
import { type ApiRequest, writeChunk } from "./api-request.ts";
import type { Fields, KubernetesObject } from "./kubernetes-object.ts";
import { isTrue } from "./request-target.ts";
import { apiVersionOf, type ResourceType } from "./resource-types.ts";
import { type Selector, selectorFrom } from "./selectors.ts";
import { StatusError } from "./status.ts";
import type { Store, StoreEvent } from "./store.ts";
import { includeObjectOf, tableOf } from "./table.ts";

/** A client that leaves its watch unread this long is cut, as the real API server cuts it. */
const stallMs = 30_000;
/** The real server sends a bookmark about once a minute; tests of resuming are shorter with more. */
const bookmarkIntervalMs = 30_000;
const defaultTimeoutSeconds = 1800;
const initialEventsEnd = "k8s.io/initial-events-end";

/** A watch event before it is rendered. */
export type WatchEvent =
  | { type: "ADDED" | "MODIFIED" | "DELETED"; object: KubernetesObject }
  | { type: "BOOKMARK"; object: Fields; resourceVersion: string }
  | { type: "ERROR"; object: Fields };

/** What a watch request asks for. */
export interface WatchOptions {
  type: ResourceType;
  /** Undefined watches all namespaces. */
  namespace: string | undefined;
  selector: Selector;
  /** Undefined starts with the present objects as ADDED events. */
  resourceVersion: number | undefined;
  bookmarks: boolean;
  /** Marks the end of the present objects with an annotated bookmark (WatchList, KEP-3157). */
  markInitialEnd: boolean;
}

/**
 * The events of one watch. It holds a cursor into the store's history and no queue, so a slow reader costs
 * nothing; a reader slower than the history gets the Expired error and the stream ends.
 * @param signal ends the watch without error
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
export async function* watchEvents(
  store: Store,
  options: WatchOptions,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent, void> {
  const { type, namespace, selector, bookmarks } = options;
  let cursor = options.resourceVersion ?? store.resourceVersion;
  let bookmarkDueMs = performance.now() + bookmarkIntervalMs;
  try {
    if (options.resourceVersion === undefined) {
      for (const object of store.list(type, namespace).filter(selector)) yield { type: "ADDED", object };
      if (options.markInitialEnd) yield bookmark(type, cursor, { [initialEventsEnd]: "true" });
    }
    while (!signal.aborted) {
      // A version from the future is never replayed from the past, so such a watch just waits.
      const event = cursor <= store.resourceVersion ? store.eventAfter(cursor) : undefined;
      if (event) {
        cursor = event.resourceVersion;
        const seen = event.type === type ? seenThrough(event, namespace, selector) : undefined;
        if (seen) yield seen;
      } else if (bookmarks && performance.now() >= bookmarkDueMs) {
        yield bookmark(type, cursor);
        bookmarkDueMs = performance.now() + bookmarkIntervalMs;
      } else {
        await store.changed.wait(signal, bookmarks ? bookmarkDueMs - performance.now() : undefined);
      }
    }
  } catch (error) {
    yield { type: "ERROR", object: { ...StatusError.from(error).toStatus() } };
  }
}

/**
 * Answers a watch with one JSON event a line until the client leaves, stalls, or `timeoutSeconds` pass.
 * @throws StatusError NotAcceptable, or Invalid for sendInitialEvents without its companion parameter
 */
export async function answerWatch(
  request: ApiRequest,
  store: Store,
  type: ResourceType,
  namespace: string | undefined,
  name: string | undefined,
): Promise<void> {
  const { response, incoming, url } = request;
  const representation = negotiateRepresentation(incoming.headers.accept);
  const options = watchOptions(url.searchParams, type, namespace, name);
  const timeoutSeconds = Number(url.searchParams.get("timeoutSeconds")) || defaultTimeoutSeconds;
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(timeoutSeconds * 1000)]);
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-cache, private" });
  response.flushHeaders();
  const render = eventRenderer(type, representation, url.searchParams);
  for await (const event of watchEvents(store, options, signal)) {
    await writeChunk(response, `${JSON.stringify(render(event))}\n`, request.signal, stallMs);
  }
  response.end();
}

function watchOptions(
  query: URLSearchParams,
  type: ResourceType,
  namespace: string | undefined,
  name: string | undefined,
): WatchOptions {
  const selector = selectorFrom(query);
  const resourceVersion = query.get("resourceVersion") ?? "";
  const sendInitialEvents = isTrue(query.get("sendInitialEvents"));
  if (sendInitialEvents && query.get("resourceVersionMatch") !== "NotOlderThan") {
    throw new StatusError(
      "Invalid",
      "resourceVersionMatch: sendInitialEvents requires resourceVersionMatch=NotOlderThan",
    );
  }
  if (!/^\d*$/.test(resourceVersion)) {
    throw new StatusError("BadRequest", `invalid resource version: ${resourceVersion}`);
  }
  const bookmarks = isTrue(query.get("allowWatchBookmarks"));
  const fromPresent = sendInitialEvents || Number(resourceVersion) === 0;
  return {
    type,
    namespace,
    selector: name === undefined ? selector : (object) => object.metadata.name === name && selector(object),
    resourceVersion: fromPresent ? undefined : Number(resourceVersion),
    bookmarks,
    markInitialEnd: sendInitialEvents && bookmarks,
  };
}

/** A change as one watch sees it: with a selector, an update can look like an arrival or a departure. */
function seenThrough(
  { action, object, previous }: StoreEvent,
  namespace: string | undefined,
  selector: Selector,
): WatchEvent | undefined {
  if (namespace !== undefined && object.metadata.namespace !== namespace) return undefined;
  const was = previous !== undefined && selector(previous);
  const is = action !== "DELETED" && selector(object);
  if (is) return { type: was ? "MODIFIED" : "ADDED", object };
  return was ? { type: "DELETED", object } : undefined;
}

/** Tells the client how far its watch has come; the object carries no name and no uid. */
function bookmark(type: ResourceType, cursor: number, annotations?: Record<string, string>): WatchEvent {
  const resourceVersion = String(cursor);
  const metadata = { resourceVersion, creationTimestamp: null, ...(annotations && { annotations }) };
  return { type: "BOOKMARK", object: { kind: type.kind, apiVersion: apiVersionOf(type), metadata }, resourceVersion };
}

function eventRenderer(
  type: ResourceType,
  representation: Representation,
  query: URLSearchParams,
): (event: WatchEvent) => { type: string; object: Fields } {
  let withColumns = true;
  return (event) => {
    if (representation === "object" || event.type === "ERROR") return { type: event.type, object: event.object };
    const objects = event.type === "BOOKMARK" ? [] : [event.object];
    const table = tableOf(type, objects, includeObjectOf(query), withColumns);
    withColumns = false;
    const resourceVersion = event.type === "BOOKMARK" ? event.resourceVersion : event.object.metadata.resourceVersion;
    return { type: event.type, object: { ...table, metadata: { resourceVersion } } };
  };
}
