import { StatusError } from "./status.ts";

interface AcceptClause {
  mediaType: string;
  parameters: Map<string, string>;
}

/** How a client wants objects: as they are, or as rows that kubectl prints without knowing the type. */
export type Representation = "object" | "table";

/**
 * Picks the representation of objects; the demo cluster speaks JSON only.
 * @param accept the Accept header; absent means anything
 * @throws StatusError NotAcceptable, for example when only protobuf is accepted
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
 */
export function negotiateRepresentation(accept: string | undefined): Representation {
  for (const { mediaType, parameters } of parseAccept(accept)) {
    if (!coversJson(mediaType)) continue;
    const as = parameters.get("as");
    if (as === undefined) return "object";
    if (as === "Table" && parameters.get("v") === "v1") return "table";
  }
  throw notAcceptable();
}

/**
 * Picks the discovery format.
 * @returns the apidiscovery.k8s.io version for aggregated discovery (KEP-3352), or "legacy"
 * @throws StatusError NotAcceptable
 */
export function negotiateDiscovery(accept: string | undefined): "v2" | "v2beta1" | "legacy" {
  for (const { mediaType, parameters } of parseAccept(accept)) {
    if (!coversJson(mediaType)) continue;
    if (!parameters.has("as")) return "legacy";
    const version = parameters.get("v");
    if (parameters.get("g") === "apidiscovery.k8s.io" && (version === "v2" || version === "v2beta1")) return version;
  }
  throw notAcceptable();
}

/** Clauses in the client's order. Quality values are ignored: no Kubernetes client sends them out of order. */
function parseAccept(accept: string | undefined): AcceptClause[] {
  return (accept ?? "*/*").split(",").map((clause) => {
    const [mediaType = "", ...rest] = clause.split(";").map((part) => part.trim());
    const pairs = rest.map((parameter): [string, string] => {
      const [name = "", value = ""] = parameter.split("=");
      return [name, value];
    });
    return { mediaType, parameters: new Map(pairs) };
  });
}

function coversJson(mediaType: string): boolean {
  return mediaType === "application/json" || mediaType === "application/*" || mediaType === "*/*";
}

function notAcceptable(): StatusError {
  return new StatusError("NotAcceptable", "the demo cluster answers in application/json only");
}
