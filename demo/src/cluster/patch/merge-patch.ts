import { type Fields, fieldAt, isFields } from "../kubernetes-object.ts";

/**
 * Applies a JSON Merge Patch. Server-side apply uses it as well: the demo cluster keeps no field owners.
 * @see https://www.rfc-editor.org/rfc/rfc7396
 */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  return merge(target, patch, (_field, _present, replacement) => replacement);
}

// The merge keys of the lists a demo object can hold; `patchMergeKey` in the Kubernetes API types.
const mergeKeys: Record<string, string> = {
  containers: "name",
  initContainers: "name",
  ephemeralContainers: "name",
  env: "name",
  volumes: "name",
  volumeMounts: "mountPath",
  ports: "containerPort",
  conditions: "type",
  addresses: "type",
  ownerReferences: "uid",
};

/**
 * Applies a strategic merge patch: a merge patch in which known lists merge by key and `$patch` directs.
 * @see https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
 */
export function applyStrategicMergePatch(target: unknown, patch: unknown): unknown {
  return merge(target, patch, mergeLists);
}

type MergeLists = (field: string, present: unknown, replacement: unknown[]) => unknown[];

function merge(target: unknown, patch: unknown, lists: MergeLists): unknown {
  if (!isFields(patch)) return patch;
  const strategic = lists === mergeLists;
  const replaces = strategic && patch.$patch === "replace";
  const merged: Fields = isFields(target) && !replaces ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (strategic && field.startsWith("$")) applyDirective(merged, field, value);
    else if (value === null || (strategic && fieldAt(value, "$patch") === "delete")) delete merged[field];
    else if (Array.isArray(value)) merged[field] = lists(field, merged[field], value);
    else merged[field] = merge(merged[field], value, lists);
  }
  return merged;
}

/** `$setElementOrder/…` only sorts, so it is left out; `$patch` was read by the caller. */
function applyDirective(merged: Fields, directive: string, value: unknown): void {
  const [name, field = ""] = directive.split("/");
  const present = merged[field];
  if (name === "$deleteFromPrimitiveList" && Array.isArray(present) && Array.isArray(value)) {
    merged[field] = present.filter((item) => !value.includes(item));
  }
  if (name === "$retainKeys" && Array.isArray(value)) {
    for (const key of Object.keys(merged)) if (!value.includes(key)) delete merged[key];
  }
}

function mergeLists(field: string, present: unknown, replacement: unknown[]): unknown[] {
  if (field === "finalizers" && Array.isArray(present)) return [...new Set([...present, ...replacement])];
  const key = mergeKeys[field];
  if (key === undefined || !Array.isArray(present)) return replacement;
  let merged: unknown[] = [...present];
  for (const item of replacement) {
    const same = (each: unknown) => fieldAt(each, key) === fieldAt(item, key);
    if (fieldAt(item, "$patch") === "delete") merged = merged.filter((each) => !same(each));
    else if (merged.some(same)) merged = merged.map((each) => (same(each) ? merge(each, item, mergeLists) : each));
    else merged.push(item);
  }
  return merged;
}
