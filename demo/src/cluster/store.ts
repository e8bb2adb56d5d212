import { Bell } from "./bell.ts";
import { type KubernetesObject, objectKey } from "./kubernetes-object.ts";
import type { ResourceType } from "./resource-types.ts";
import { alreadyExists, conflict, notFound, StatusError } from "./status.ts";

/** One committed change. `previous` lets a watch with a selector see an object leave its selection. */
export interface StoreEvent {
  action: "ADDED" | "MODIFIED" | "DELETED";
  type: ResourceType;
  object: KubernetesObject;
  previous: KubernetesObject | undefined;
  resourceVersion: number;
  bytes: number;
}

/** Bounds of the store: without them, a client could fill the memory of the machine that tries the demo. */
export interface StoreLimits {
  /** Changes kept for watches that resume. Default 1024. */
  maxHistoryEvents: number;
  /** JSON size of those changes. Default 16 MiB. */
  maxHistoryBytes: number;
  /** Objects of all types. Default 2000. */
  maxObjects: number;
  /** JSON size of all objects. Default 32 MiB. */
  maxObjectBytes: number;
}

const defaultLimits: StoreLimits = {
  maxHistoryEvents: 1024,
  maxHistoryBytes: 16 << 20,
  maxObjects: 2000,
  maxObjectBytes: 32 << 20,
};

/** All objects of the cluster with one increasing resourceVersion and a bounded history of changes. */
export class Store {
  /** Rings after every change. */
  readonly changed = new Bell();
  readonly #limits: StoreLimits;
  readonly #objects = new Map<ResourceType, Map<string, { object: KubernetesObject; bytes: number }>>();
  readonly #history: StoreEvent[] = [];
  #historyBytes = 0;
  #objectCount = 0;
  #objectBytes = 0;
  // Seconds since 1970, so that a restarted demo is ahead of its predecessor: a watch that resumes from the
  // old process gets "Expired" and lists again, where a counter from 1 would leave it waiting silently.
  #resourceVersion = Math.floor(Date.now() / 1000);
  #compactedAt = this.#resourceVersion;

  constructor(limits: Partial<StoreLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
  }

  get resourceVersion(): number {
    return this.#resourceVersion;
  }

  /** Objects of one type in list order, of one namespace or of all. */
  list(type: ResourceType, namespace?: string): KubernetesObject[] {
    const entries = [...(this.#objects.get(type) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    const objects = entries.map(([, stored]) => stored.object);
    return namespace === undefined ? objects : objects.filter((object) => object.metadata.namespace === namespace);
  }

  find(type: ResourceType, namespace: string | undefined, name: string): KubernetesObject | undefined {
    return this.#objects.get(type)?.get(objectKey(namespace, name))?.object;
  }

  /** @throws StatusError NotFound */
  get(type: ResourceType, namespace: string | undefined, name: string): KubernetesObject {
    const object = this.find(type, namespace, name);
    if (!object) throw notFound(type, name);
    return object;
  }

  /** @throws StatusError AlreadyExists, or Forbidden when the demo cluster is full */
  insert(type: ResourceType, object: KubernetesObject, dryRun = false): KubernetesObject {
    const { namespace, name } = object.metadata;
    if (this.find(type, namespace, name)) throw alreadyExists(type, name);
    return dryRun ? object : this.#commit("ADDED", type, object, undefined);
  }

  /**
   * Stores a new state of an object. An empty resourceVersion means "whatever is stored"; any other must be
   * the stored one.
   * @throws StatusError NotFound, Conflict, or Forbidden when the demo cluster is full
   */
  replace(type: ResourceType, object: KubernetesObject, dryRun = false): KubernetesObject {
    const { namespace, name, resourceVersion } = object.metadata;
    const previous = this.get(type, namespace, name);
    if (resourceVersion !== "" && resourceVersion !== previous.metadata.resourceVersion) {
      throw conflict(
        type,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
      );
    }
    return dryRun ? object : this.#commit("MODIFIED", type, object, previous);
  }

  /** @throws StatusError NotFound */
  remove(type: ResourceType, namespace: string | undefined, name: string, dryRun = false): KubernetesObject {
    const previous = this.get(type, namespace, name);
    return dryRun ? previous : this.#commit("DELETED", type, previous, previous);
  }

  /**
   * The change right after a resourceVersion, or undefined when there is none yet.
   * @throws StatusError Expired when that change has left the history
   */
  eventAfter(resourceVersion: number): StoreEvent | undefined {
    if (resourceVersion < this.#compactedAt) {
      throw new StatusError("Expired", `too old resource version: ${resourceVersion} (${this.#compactedAt})`);
    }
    // Every commit takes exactly one version, so the distance is the index.
    return this.#history[resourceVersion - this.#compactedAt];
  }

  #commit(
    action: StoreEvent["action"],
    type: ResourceType,
    object: KubernetesObject,
    previous: KubernetesObject | undefined,
  ): KubernetesObject {
    const resourceVersion = this.#resourceVersion + 1;
    const saved = { ...object, metadata: { ...object.metadata, resourceVersion: String(resourceVersion) } };
    const bytes = Buffer.byteLength(JSON.stringify(saved));
    this.#put(action, type, saved, bytes);
    this.#resourceVersion = resourceVersion;
    this.#remember({ action, type, object: saved, previous, resourceVersion, bytes });
    this.changed.ring();
    return saved;
  }

  #put(action: StoreEvent["action"], type: ResourceType, object: KubernetesObject, bytes: number): void {
    const ofType = this.#objects.get(type) ?? new Map<string, { object: KubernetesObject; bytes: number }>();
    const key = objectKey(object.metadata.namespace, object.metadata.name);
    const replaced = ofType.get(key);
    const keptBytes = action === "DELETED" ? 0 : bytes;
    const count = this.#objectCount + (action === "DELETED" ? 0 : 1) - (replaced ? 1 : 0);
    const total = this.#objectBytes + keptBytes - (replaced?.bytes ?? 0);
    if (action !== "DELETED" && (count > this.#limits.maxObjects || total > this.#limits.maxObjectBytes)) {
      throw new StatusError("Forbidden", "the demo cluster is full: delete some objects first");
    }
    if (action === "DELETED") ofType.delete(key);
    else ofType.set(key, { object, bytes });
    this.#objects.set(type, ofType);
    this.#objectCount = count;
    this.#objectBytes = total;
  }

  #remember(event: StoreEvent): void {
    this.#history.push(event);
    this.#historyBytes += event.bytes;
    while (this.#history.length > this.#limits.maxHistoryEvents || this.#historyBytes > this.#limits.maxHistoryBytes) {
      const forgotten = this.#history.shift();
      if (!forgotten) return;
      this.#historyBytes -= forgotten.bytes;
      this.#compactedAt = forgotten.resourceVersion;
    }
  }
}
