/** Verbs as RBAC and discovery name them. */
export type Verb = "get" | "list" | "watch" | "create" | "update" | "patch" | "delete" | "impersonate";

/** JSON type of a top-level field, used for strict field validation and for the OpenAPI documents. */
export type FieldType = "object" | "boolean" | "string" | "integer" | "mapOfStrings";

/** One kind that the demo cluster serves, or one of its subresources. */
export interface ResourceType {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  shortNames: string[];
  categories: string[];
  namespaced: boolean;
  verbs: Verb[];
  /** Top-level fields besides apiVersion, kind and metadata. */
  fields: Record<string, FieldType>;
  subresources: { name: string; kind: string; verbs: Verb[] }[];
}

const everyVerb: Verb[] = ["create", "delete", "get", "list", "patch", "update", "watch"];
const changeOnly: Verb[] = ["get", "list", "patch", "update", "watch"];

function coreType(kind: string, plural: string, shortNames: string[], rest: Partial<ResourceType>): ResourceType {
  return {
    group: "",
    version: "v1",
    plural,
    singular: kind.toLowerCase(),
    kind,
    shortNames,
    categories: [],
    namespaced: true,
    verbs: everyVerb,
    fields: {},
    subresources: [],
    ...rest,
  };
}

function reviewType(group: string, kind: string): ResourceType {
  return coreType(kind, `${kind.toLowerCase()}s`, [], {
    group,
    namespaced: false,
    verbs: ["create"],
    fields: { spec: "object", status: "object" },
  });
}

export const namespaces = coreType("Namespace", "namespaces", ["ns"], {
  namespaced: false,
  fields: { spec: "object", status: "object" },
});
export const nodes = coreType("Node", "nodes", ["no"], {
  namespaced: false,
  verbs: changeOnly,
  fields: { spec: "object", status: "object" },
});
export const pods = coreType("Pod", "pods", ["po"], {
  categories: ["all"],
  fields: { spec: "object", status: "object" },
  subresources: [
    { name: "exec", kind: "PodExecOptions", verbs: ["create", "get"] },
    { name: "log", kind: "Pod", verbs: ["get"] },
  ],
});
export const configMaps = coreType("ConfigMap", "configmaps", ["cm"], {
  fields: { data: "mapOfStrings", binaryData: "mapOfStrings", immutable: "boolean" },
});
export const events = coreType("Event", "events", ["ev"], {
  verbs: ["get", "list", "watch"],
  fields: {
    involvedObject: "object",
    reason: "string",
    message: "string",
    source: "object",
    type: "string",
    count: "integer",
    firstTimestamp: "string",
    lastTimestamp: "string",
  },
});
export const selfSubjectReviews = reviewType("authentication.k8s.io", "SelfSubjectReview");
export const selfSubjectAccessReviews = reviewType("authorization.k8s.io", "SelfSubjectAccessReview");
export const selfSubjectRulesReviews = reviewType("authorization.k8s.io", "SelfSubjectRulesReview");

/** Everything discovery lists, in the order it lists it. */
export const resourceTypes: readonly ResourceType[] = [
  configMaps,
  events,
  namespaces,
  nodes,
  pods,
  selfSubjectReviews,
  selfSubjectAccessReviews,
  selfSubjectRulesReviews,
];

/** The type behind `/apis/<group>/<version>/<plural>`, or undefined. */
export function findResourceType(group: string, version: string, plural: string): ResourceType | undefined {
  return resourceTypes.find((type) => type.group === group && type.version === version && type.plural === plural);
}

/** The `apiVersion` field of a type's objects. */
export function apiVersionOf(type: { group: string; version: string }): string {
  return type.group === "" ? type.version : `${type.group}/${type.version}`;
}
