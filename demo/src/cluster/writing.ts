import { isDeepStrictEqual } from "node:util";
import { admitChange, admitNew } from "./admission.ts";
import { type ApiRequest, sendJson } from "./api-request.ts";
import { fieldAt, type KubernetesObject, listAt } from "./kubernetes-object.ts";
import { applyPatch, applyPatchType, patchTypes } from "./patch/patching.ts";
import { recreatePod, runPod } from "./pods.ts";
import { namespaceOf } from "./reading.ts";
import { bodyMediaType, objectMediaTypes, readParsedBody } from "./request-body.ts";
import type { ResourceTarget } from "./request-target.ts";
import { configMaps, events, namespaces, pods, type ResourceType } from "./resource-types.ts";
import { conflict, StatusError } from "./status.ts";
import type { Store } from "./store.ts";

const protectedNamespaces = ["default", "kube-system", "kube-public"];

/** Answers `create`. */
export async function answerCreate(
  request: ApiRequest,
  store: Store,
  type: ResourceType,
  target: ResourceTarget,
): Promise<void> {
  const body = await readParsedBody(request.incoming, objectMediaTypes);
  sendJson(request.response, 201, create(request, store, type, target, body));
}

/** Answers `update`: the body replaces the object. */
export async function answerUpdate(
  request: ApiRequest,
  store: Store,
  type: ResourceType,
  target: ResourceTarget,
): Promise<void> {
  const body = await readParsedBody(request.incoming, objectMediaTypes);
  const present = store.get(type, namespaceOf(type, target), target.name ?? "");
  sendJson(request.response, 200, change(request, store, type, present, body));
}

/** Answers `patch` of all four kinds; server-side apply creates what is not there. */
export async function answerPatch(
  request: ApiRequest,
  store: Store,
  type: ResourceType,
  target: ResourceTarget,
): Promise<void> {
  const mediaType = bodyMediaType(request.incoming);
  const patch = await readParsedBody(request.incoming, patchTypes);
  const name = target.name ?? "";
  const present = store.find(type, namespaceOf(type, target), name);
  if (mediaType === applyPatchType && !present && type.verbs.includes("create")) {
    const named = applyPatch(mediaType, patch, { metadata: { name } });
    sendJson(request.response, 201, create(request, store, type, target, named));
    return;
  }
  const current = store.get(type, namespaceOf(type, target), name);
  const patched = applyPatch(mediaType, current, patch);
  sendJson(request.response, 200, change(request, store, type, current, patched));
}

/** Answers `delete` of one object. Deleting takes effect at once; there are no finalizers to wait for. */
export async function answerDelete(
  request: ApiRequest,
  store: Store,
  type: ResourceType,
  target: ResourceTarget,
): Promise<void> {
  const options = await readParsedBody(request.incoming, objectMediaTypes);
  const present = store.get(type, namespaceOf(type, target), target.name ?? "");
  const { name, namespace, uid } = present.metadata;
  checkPreconditions(type, present, options);
  if (type === namespaces && protectedNamespaces.includes(name)) {
    throw new StatusError("Forbidden", `namespaces "${name}" is forbidden: this namespace may not be deleted`);
  }
  const dryRun = isDryRun(request) || listAt(options, "dryRun").includes("All");
  store.remove(type, namespace, name, dryRun);
  if (!dryRun && type === namespaces) removeContents(store, name);
  if (!dryRun && type === pods) recreatePod(store, present);
  const details = { name, kind: type.plural, uid };
  sendJson(request.response, 200, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details });
}

function create(
  request: ApiRequest,
  store: Store,
  type: ResourceType,
  target: ResourceTarget,
  body: unknown,
): KubernetesObject {
  const namespace = namespaceOf(type, target);
  if (namespace !== undefined) store.get(namespaces, undefined, namespace);
  const admitted = admitNew(type, namespace, body, isStrict(request));
  return store.insert(type, type === pods ? runPod(admitted) : admitted, isDryRun(request));
}

/** A change that changes nothing keeps its resourceVersion, so that watches stay quiet. */
function change(
  request: ApiRequest,
  store: Store,
  type: ResourceType,
  present: KubernetesObject,
  body: unknown,
): KubernetesObject {
  const admitted = admitChange(type, present, body, isStrict(request));
  const checked = store.replace(type, admitted, true);
  const { resourceVersion } = present.metadata;
  const result = { ...checked, metadata: { ...checked.metadata, resourceVersion } };
  return isDryRun(request) || isDeepStrictEqual(result, present) ? result : store.replace(type, result);
}

function checkPreconditions(type: ResourceType, present: KubernetesObject, options: unknown): void {
  for (const field of ["uid", "resourceVersion"] as const) {
    const expected = fieldAt(options, "preconditions", field);
    if (expected === undefined || expected === null || expected === present.metadata[field]) continue;
    const found = present.metadata[field];
    throw conflict(type, present.metadata.name, `Precondition failed: ${field} is ${found}, not ${expected}`);
  }
}

function removeContents(store: Store, namespace: string): void {
  for (const type of [pods, configMaps, events]) {
    for (const { metadata } of store.list(type, namespace)) store.remove(type, namespace, metadata.name);
  }
}

function isDryRun(request: ApiRequest): boolean {
  return request.url.searchParams.getAll("dryRun").includes("All");
}

function isStrict(request: ApiRequest): boolean {
  return request.url.searchParams.get("fieldValidation") === "Strict";
}
