/** JSON whose fields are read one at a time; the cluster stores objects and understands few of their fields. */
export type Fields = Record<string, unknown>;

/** The part of `metadata` that the API server itself writes and reads. */
export interface ObjectMeta extends Fields {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  creationTimestamp: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** Any stored object. Treated as immutable once stored: watch history and lists share it. */
export interface KubernetesObject extends Fields {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

/** True for JSON objects; false for arrays, null and scalars. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads one nested field, such as `status.podIP`.
 * @param path field names from the outside in
 * @returns the value, or undefined when any step is missing
 */
export function fieldAt(value: unknown, ...path: string[]): unknown {
  let current = value;
  for (const field of path) {
    if (!isFields(current) || !Object.hasOwn(current, field)) return undefined;
    current = current[field];
  }
  return current;
}

/** Like {@link fieldAt}, for a field that is shown as text: anything but a string reads as "". */
export function textAt(value: unknown, ...path: string[]): string {
  const found = fieldAt(value, ...path);
  return typeof found === "string" ? found : "";
}

/** Like {@link fieldAt}, for a list: anything else reads as an empty list. */
export function listAt(value: unknown, ...path: string[]): unknown[] {
  const found = fieldAt(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** The store's key inside one resource type; sorts as a Kubernetes list does: namespace, then name. */
export function objectKey(namespace: string | undefined, name: string): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
