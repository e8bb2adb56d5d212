import { randomInt, randomUUID } from "node:crypto";
import { type Fields, isFields, type KubernetesObject, type ObjectMeta, textAt } from "./kubernetes-object.ts";
import { apiVersionOf, configMaps, namespaces, type ResourceType } from "./resource-types.ts";
import { conflict, invalid, StatusError } from "./status.ts";

const namePattern = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
// No vowels and no look-alikes, as in apimachinery's rand.String: suffixes spell no words.
const suffixLetters = "bcdfghjklmnpqrstvwxz2456789";
const maxConfigMapBytes = 1024 * 1024;

/**
 * Turns a request body into a new object: checks it and fills in what the server owns.
 * @param strict refuses fields the type does not have (`fieldValidation=Strict`)
 * @throws StatusError BadRequest or Invalid
 */
export function admitNew(
  type: ResourceType,
  namespace: string | undefined,
  body: unknown,
  strict: boolean,
): KubernetesObject {
  const { fields, metadata } = checkedBody(type, body, strict);
  const name = textAt(metadata, "name") || generatedName(metadata);
  if (!namePattern.test(name)) throw invalid(type, name, "metadata.name", "must be a lowercase RFC 1123 subdomain");
  const bodyNamespace = textAt(metadata, "namespace");
  if (namespace !== undefined && bodyNamespace !== "" && bodyNamespace !== namespace) {
    throw new StatusError(
      "BadRequest",
      "the namespace of the provided object does not match the namespace sent on the request",
    );
  }
  const owned: ObjectMeta = {
    ...metadata,
    name,
    ...(namespace !== undefined && { namespace }),
    uid: randomUUID(),
    resourceVersion: "",
    creationTimestamp: nowSeconds(),
  };
  if (type === namespaces) {
    owned.labels = { ...owned.labels, "kubernetes.io/metadata.name": name };
    Object.assign(fields, { spec: { finalizers: ["kubernetes"] }, status: { phase: "Active" } });
  }
  return checkedContent(type, { apiVersion: apiVersionOf(type), kind: type.kind, ...fields, metadata: owned });
}

/**
 * Turns a request body or a patched object into the next state of a stored object.
 * @returns an object whose resourceVersion is the one the client named, or "" when it named none
 * @throws StatusError BadRequest, Invalid, or Conflict for another object's uid
 */
export function admitChange(
  type: ResourceType,
  present: KubernetesObject,
  body: unknown,
  strict: boolean,
): KubernetesObject {
  const { fields, metadata } = checkedBody(type, body, strict);
  const { name, namespace, uid, creationTimestamp } = present.metadata;
  const renamed = textAt(metadata, "name") !== name || (textAt(metadata, "namespace") || namespace) !== namespace;
  if (renamed) throw new StatusError("BadRequest", "the name of the object does not match the name on the URL");
  const bodyUid = textAt(metadata, "uid");
  if (bodyUid !== "" && bodyUid !== uid) {
    throw conflict(type, name, `Precondition failed: UID in precondition: ${bodyUid}, UID in object meta: ${uid}`);
  }
  const owned: ObjectMeta = {
    ...metadata,
    name,
    ...(namespace !== undefined && { namespace }),
    uid,
    resourceVersion: textAt(metadata, "resourceVersion"),
    creationTimestamp,
  };
  return checkedContent(type, { apiVersion: apiVersionOf(type), kind: type.kind, ...fields, metadata: owned });
}

/** The time as Kubernetes writes it: whole seconds. */
export function nowSeconds(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}

/** Five random characters, as in the names of a ReplicaSet's pods. */
export function randomSuffix(): string {
  return Array.from({ length: 5 }, () => suffixLetters[randomInt(suffixLetters.length)]).join("");
}

function generatedName(metadata: Fields): string {
  const prefix = textAt(metadata, "generateName");
  return prefix === "" ? "" : prefix + randomSuffix();
}

function checkedBody(type: ResourceType, body: unknown, strict: boolean): { fields: Fields; metadata: Fields } {
  if (!isFields(body)) throw new StatusError("BadRequest", "the request body holds no object");
  const { apiVersion = apiVersionOf(type), kind = type.kind, metadata = {}, ...rest } = body;
  if (apiVersion !== apiVersionOf(type) || kind !== type.kind) {
    const expected = `${apiVersionOf(type)}, Kind=${type.kind}`;
    throw new StatusError(
      "BadRequest",
      `the object provided is ${apiVersion}, Kind=${kind}, this address takes ${expected}`,
    );
  }
  if (!isFields(metadata)) throw new StatusError("BadRequest", "metadata is not an object");
  const unknown = Object.keys(rest).filter((field) => !Object.hasOwn(type.fields, field));
  if (strict && unknown.length > 0) {
    const list = unknown.map((field) => `unknown field "${field}"`).join(", ");
    const refused = `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}`;
    throw new StatusError("BadRequest", `${refused}: strict decoding error: ${list}`);
  }
  const fields = Object.fromEntries(Object.entries(rest).filter(([field]) => !unknown.includes(field)));
  const name = textAt(metadata, "name");
  for (const field of ["labels", "annotations"]) checkTexts(type, name, `metadata.${field}`, metadata[field]);
  // `creationTimestamp: null` is what Go clients send for a new object.
  return { fields, metadata: Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null)) };
}

function checkedContent(type: ResourceType, object: KubernetesObject): KubernetesObject {
  if (type !== configMaps) return object;
  const { name } = object.metadata;
  for (const field of ["data", "binaryData"]) checkTexts(type, name, field, object[field]);
  if (Buffer.byteLength(JSON.stringify([object.data, object.binaryData])) > maxConfigMapBytes) {
    throw invalid(type, name, "data", `Too long: must have at most ${maxConfigMapBytes} bytes`);
  }
  return object;
}

function checkTexts(type: ResourceType, name: string, field: string, value: unknown): void {
  if (value === undefined || value === null) return;
  if (!isFields(value) || Object.values(value).some((each) => typeof each !== "string")) {
    throw invalid(type, name, field, "must be a map of strings");
  }
}
