import { fieldAt, type KubernetesObject } from "./kubernetes-object.ts";
import { StatusError } from "./status.ts";

/** Decides whether a list or watch shows an object. */
export type Selector = (object: KubernetesObject) => boolean;

/**
 * Builds the selector of a list or watch request from `labelSelector` and `fieldSelector`.
 * @throws StatusError BadRequest when one of them cannot be read
 */
export function selectorFrom(query: URLSearchParams): Selector {
  const labels = splitOutsideParentheses(query.get("labelSelector") ?? "").map(labelRequirement);
  const fields = splitOutsideParentheses(query.get("fieldSelector") ?? "").map(fieldRequirement);
  return (object) => [...labels, ...fields].every((holds) => holds(object));
}

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api */
function labelRequirement(term: string): Selector {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(term);
  if (set) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    return (object) => values.includes(label(object, key) ?? "\0") === (operator === "in");
  }
  const equality = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(term);
  if (equality) {
    const [, key = "", operator, value = ""] = equality;
    return (object) => (label(object, key) === value) === (operator !== "!=");
  }
  const existence = /^(!?)\s*([^\s=!()]+)$/.exec(term);
  if (existence) {
    const [, absent, key = ""] = existence;
    return (object) => (label(object, key) === undefined) === (absent === "!");
  }
  throw new StatusError("BadRequest", `unable to parse requirement: ${term}`);
}

/** Any field may be selected; a real API server allows a few per type. */
function fieldRequirement(term: string): Selector {
  const [, path = "", operator, value = ""] = /^([\w.]+)(==|=|!=)(.*)$/.exec(term) ?? [];
  if (operator === undefined) throw new StatusError("BadRequest", `invalid field selector: ${term}`);
  const steps = path.split(".");
  return (object) => (String(fieldAt(object, ...steps) ?? "") === value) === (operator !== "!=");
}

function label(object: KubernetesObject, key: string): string | undefined {
  const value = fieldAt(object.metadata.labels, key);
  return typeof value === "string" ? value : undefined;
}

function splitOutsideParentheses(selector: string): string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== "");
}
