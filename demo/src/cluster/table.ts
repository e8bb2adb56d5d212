import { ageOf } from "./human-duration.ts";
import { fieldAt, isFields, type KubernetesObject, listAt, textAt } from "./kubernetes-object.ts";
import type { ResourceType } from "./resource-types.ts";

interface Column {
  name: string;
  /** 0 is always shown, 1 only with `-o wide`. */
  priority: 0 | 1;
  cell: (object: KubernetesObject) => string | number;
}

/** How much of each object a row carries along. */
export type IncludeObject = "None" | "Metadata" | "Object";

const ageColumn = column("Age", (object) => ageOf(object.metadata.creationTimestamp));
const nameColumn = column("Name", (object) => object.metadata.name);

const columnsByPlural: Record<string, Column[]> = {
  namespaces: [nameColumn, column("Status", (object) => textAt(object, "status", "phase")), ageColumn],
  configmaps: [nameColumn, column("Data", countOfEntries), ageColumn],
  nodes: [
    nameColumn,
    column("Status", nodeStatus),
    column("Roles", () => "<none>"),
    ageColumn,
    column("Version", (object) => textAt(object, "status", "nodeInfo", "kubeletVersion")),
    column("Internal-IP", (object) => textAt(listAt(object, "status", "addresses")[0], "address"), 1),
    column("OS-Image", (object) => textAt(object, "status", "nodeInfo", "osImage"), 1),
    column("Container-Runtime", (object) => textAt(object, "status", "nodeInfo", "containerRuntimeVersion"), 1),
  ],
  pods: [
    nameColumn,
    column("Ready", (object) => {
      const containers = listAt(object, "status", "containerStatuses");
      return `${containers.filter((each) => fieldAt(each, "ready") === true).length}/${containers.length}`;
    }),
    column("Status", (object) => textAt(object, "status", "phase")),
    column("Restarts", () => 0),
    ageColumn,
    column("IP", (object) => textAt(object, "status", "podIP"), 1),
    column("Node", (object) => textAt(object, "spec", "nodeName"), 1),
  ],
  events: [
    column("Last Seen", (object) => ageOf(textAt(object, "lastTimestamp"))),
    column("Type", (object) => textAt(object, "type")),
    column("Reason", (object) => textAt(object, "reason")),
    column("Object", (object) => {
      const involved = object.involvedObject;
      return `${textAt(involved, "kind").toLowerCase()}/${textAt(involved, "name")}`;
    }),
    column("Message", (object) => textAt(object, "message")),
    column("Name", (object) => object.metadata.name, 1),
  ],
};

/**
 * Renders objects as a meta.k8s.io/v1 Table, which kubectl prints without knowing the type.
 * @param withColumns false for the later events of a watch, as the real API server does
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
 */
export function tableOf(
  type: ResourceType,
  objects: KubernetesObject[],
  includeObject: IncludeObject,
  withColumns = true,
): { kind: string; apiVersion: string; columnDefinitions: unknown; rows: unknown[] } {
  const columns = columnsByPlural[type.plural] ?? [nameColumn, ageColumn];
  const definitions = columns.map(({ name, priority }) => ({
    name,
    type: name === "Restarts" || name === "Data" ? "integer" : "string",
    format: name === "Name" ? "name" : "",
    description: `${name} of the ${type.kind}, as the demo cluster shows it.`,
    priority,
  }));
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    columnDefinitions: withColumns ? definitions : null,
    rows: objects.map((object) => ({
      cells: columns.map(({ cell }) => cell(object)),
      ...(includeObject !== "None" && { object: includeObject === "Object" ? object : metadataOf(object) }),
    })),
  };
}

/** @returns the `includeObject` of a request; Metadata unless it says otherwise */
export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const asked = query.get("includeObject");
  return asked === "None" || asked === "Object" ? asked : "Metadata";
}

function metadataOf(object: KubernetesObject): unknown {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata };
}

function column(name: string, cell: Column["cell"], priority: Column["priority"] = 0): Column {
  return { name, priority, cell };
}

function countOfEntries(object: KubernetesObject): number {
  const { data, binaryData } = object;
  return [data, binaryData].filter(isFields).reduce((count, entries) => count + Object.keys(entries).length, 0);
}

function nodeStatus(object: KubernetesObject): string {
  const ready = listAt(object, "status", "conditions").find((each) => textAt(each, "type") === "Ready");
  const status = textAt(ready, "status") === "True" ? "Ready" : "NotReady";
  return fieldAt(object, "spec", "unschedulable") === true ? `${status},SchedulingDisabled` : status;
}
