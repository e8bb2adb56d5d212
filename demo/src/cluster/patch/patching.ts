import { StatusError } from "../status.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch, applyStrategicMergePatch } from "./merge-patch.ts";

/** Media type of server-side apply, the one patch that may create its object. */
export const applyPatchType = "application/apply-patch+yaml";

const patchFunctions: Record<string, (target: unknown, patch: unknown) => unknown> = {
  "application/json-patch+json": applyJsonPatch,
  "application/merge-patch+json": applyMergePatch,
  "application/strategic-merge-patch+json": applyStrategicMergePatch,
  [applyPatchType]: applyMergePatch,
};

/** The patch media types of the Kubernetes API, each with an implementation here. */
export const patchTypes: readonly string[] = Object.keys(patchFunctions);

/**
 * Applies a patch of any of the four kinds to an object.
 * @param mediaType one of {@link patchTypes}
 * @throws StatusError UnsupportedMediaType, BadRequest or Invalid
 */
export function applyPatch(mediaType: string, target: unknown, patch: unknown): unknown {
  const apply = patchFunctions[mediaType];
  if (!apply) throw new StatusError("UnsupportedMediaType", `the demo cluster cannot apply a ${mediaType}`);
  return apply(target, patch);
}
