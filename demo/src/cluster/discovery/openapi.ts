import { createHash } from "node:crypto";
import type { Fields } from "../kubernetes-object.ts";
import { apiVersionOf, type FieldType, type ResourceType } from "../resource-types.ts";
import { demoVersion } from "../seed.ts";
import { groupVersions, prefixOf } from "./discovery.ts";

const metadataRef = { $ref: "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" };
const mapOfStrings = { type: "object", additionalProperties: { type: "string" } };

/** kubectl looks for them on PATCH before it leaves validation to the server and before it offers dry runs. */
export const writeParameterNames = ["dryRun", "fieldManager", "fieldValidation"];
const writeParameters = writeParameterNames.map((name) => ({
  name,
  in: "query",
  description: "See the Kubernetes API concepts.",
  schema: { type: "string" },
}));

/**
 * The OpenAPI v3 index or one group version's document; enough for kubectl's validation, dry runs and explain.
 * @returns undefined when the path names no document
 * @see https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3
 */
export function openApiDocument(path: string): unknown {
  if (path === "/openapi/v3") {
    const entries = groupVersions.map((each) => {
      const text = JSON.stringify(documentOf(each.types));
      const hash = createHash("sha256").update(text).digest("hex").toUpperCase();
      return [prefixOf(each).slice(1), { serverRelativeURL: `/openapi/v3${prefixOf(each)}?hash=${hash}` }];
    });
    return { paths: Object.fromEntries(entries) };
  }
  const found = groupVersions.find((each) => path === `/openapi/v3${prefixOf(each)}`);
  return found && documentOf(found.types);
}

function documentOf(types: ResourceType[]): unknown {
  const schemas = Object.fromEntries(types.map((type) => [schemaName(type), schemaOf(type)]));
  const objectMeta = {
    type: "object",
    description: "ObjectMeta is metadata that all persisted resources must have.",
    properties: {
      name: { type: "string" },
      generateName: { type: "string" },
      namespace: { type: "string" },
      uid: { type: "string" },
      resourceVersion: { type: "string" },
      creationTimestamp: { type: "string", format: "date-time" },
      labels: mapOfStrings,
      annotations: mapOfStrings,
      finalizers: { type: "array", items: { type: "string" } },
    },
  };
  return {
    openapi: "3.0.0",
    info: { title: "The Fairlead demo cluster", version: demoVersion },
    paths: Object.fromEntries(types.flatMap(pathsOf)),
    components: { schemas: { ...schemas, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": objectMeta } },
  };
}

function pathsOf(type: ResourceType): [string, Fields][] {
  const collection = `${prefixOf(type)}/${type.namespaced ? "namespaces/{namespace}/" : ""}${type.plural}`;
  const item = `${collection}/{name}`;
  const has = (verb: ResourceType["verbs"][number]) => type.verbs.includes(verb);
  return [
    [
      collection,
      {
        ...(has("list") && { get: operation(type, "list", []) }),
        ...(has("create") && { post: operation(type, "post", writeParameters) }),
      },
    ],
    [
      item,
      {
        ...(has("get") && { get: operation(type, "get", []) }),
        ...(has("update") && { put: operation(type, "put", writeParameters) }),
        ...(has("patch") && { patch: operation(type, "patch", writeParameters) }),
        ...(has("delete") && { delete: operation(type, "delete", writeParameters.slice(0, 1)) }),
      },
    ],
  ];
}

function operation(type: ResourceType, action: string, parameters: unknown[]): Fields {
  const schema = { $ref: `#/components/schemas/${schemaName(type)}` };
  return {
    operationId: `${action}${type.kind}`,
    parameters,
    responses: { 200: { description: "OK", content: { "application/json": { schema } } } },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": groupVersionKind(type),
  };
}

function schemaOf(type: ResourceType): Fields {
  const fields = Object.entries(type.fields).map(([name, fieldType]) => [name, fieldSchema(fieldType)]);
  return {
    type: "object",
    description: `${type.kind} as the Fairlead demo cluster serves it; what is below spec and status is not described.`,
    properties: {
      apiVersion: { type: "string", description: `Always ${apiVersionOf(type)}.` },
      kind: { type: "string", description: `Always ${type.kind}.` },
      metadata: { description: "Standard object's metadata.", allOf: [metadataRef], default: {} },
      ...Object.fromEntries(fields),
    },
    "x-kubernetes-group-version-kind": [groupVersionKind(type)],
  };
}

function fieldSchema(fieldType: FieldType): Fields {
  return fieldType === "mapOfStrings" ? mapOfStrings : { type: fieldType };
}

function schemaName(type: ResourceType): string {
  const group = type.group === "" ? "core" : type.group.replace(".k8s.io", "");
  return `io.k8s.api.${group}.${type.version}.${type.kind}`;
}

function groupVersionKind({ group, version, kind }: ResourceType): { group: string; version: string; kind: string } {
  return { group, version, kind };
}
