import { isDeepStrictEqual } from "node:util";
import { type Fields, isFields } from "../kubernetes-object.ts";
import { StatusError } from "../status.ts";

/**
 * Applies a JSON Patch.
 * @param document the present object; not modified
 * @param patch a list of operations
 * @throws StatusError BadRequest for an operation that cannot be read, Invalid for one that does not apply
 * @see https://www.rfc-editor.org/rfc/rfc6902
 */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new StatusError("BadRequest", "a JSON patch is a list of operations");
  // Every operation works on this holder, so that the path "" (the whole document) needs no special case.
  const holder: Fields = { document: copyOf(document) };
  for (const operation of patch) applyOperation(holder, operation);
  return holder.document;
}

function applyOperation(holder: Fields, operation: unknown): void {
  if (!isFields(operation) || typeof operation.path !== "string") {
    throw new StatusError("BadRequest", "a JSON patch operation needs an op and a path");
  }
  const { op, path, value } = operation;
  const from = typeof operation.from === "string" ? operation.from : "";
  switch (op) {
    case "add":
      insert(holder, path, value);
      break;
    case "remove":
      remove(holder, path);
      break;
    case "replace":
      remove(holder, path);
      insert(holder, path, value);
      break;
    case "move":
      insert(holder, path, remove(holder, from));
      break;
    case "copy":
      insert(holder, path, copyOf(read(holder, from)));
      break;
    case "test":
      if (!isDeepStrictEqual(read(holder, path), value)) throw unappliable(`testing value ${path} failed`);
      break;
    default:
      throw new StatusError("BadRequest", `unknown JSON patch operation ${JSON.stringify(op)}`);
  }
}

/** The container a pointer ends in, and the last step. */
function locate(holder: Fields, pointer: string): { parent: Fields | unknown[]; last: string } {
  const steps = pointer.split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  // A pointer starts with "/", so the first step is "" and stands for the document itself.
  const path = ["document", ...steps.slice(1)];
  const last = path.pop() ?? "";
  let parent: unknown = holder;
  for (const step of path) parent = child(parent, step);
  if (!isFields(parent) && !Array.isArray(parent)) throw unappliable(`${pointer} is not in the object`);
  if (last === "__proto__") throw unappliable(`${pointer} names no field`);
  return { parent, last };
}

function child(parent: unknown, step: string): unknown {
  if (Array.isArray(parent)) return parent[indexIn(parent, step)];
  return isFields(parent) && Object.hasOwn(parent, step) ? parent[step] : undefined;
}

function read(holder: Fields, pointer: string): unknown {
  const { parent, last } = locate(holder, pointer);
  return child(parent, last);
}

function insert(holder: Fields, pointer: string, value: unknown): void {
  const { parent, last } = locate(holder, pointer);
  if (!Array.isArray(parent)) parent[last] = value;
  else if (last === "-") parent.push(value);
  else parent.splice(indexIn(parent, last, parent.length), 0, value);
}

function remove(holder: Fields, pointer: string): unknown {
  const { parent, last } = locate(holder, pointer);
  if (Array.isArray(parent)) return parent.splice(indexIn(parent, last), 1)[0];
  if (!Object.hasOwn(parent, last)) throw unappliable(`${pointer} is not in the object`);
  const removed = parent[last];
  delete parent[last];
  return removed;
}

function copyOf(value: unknown): unknown {
  if (value === undefined) throw unappliable("there is nothing to copy");
  return JSON.parse(JSON.stringify(value));
}

function indexIn(list: unknown[], step: string, greatest = list.length - 1): number {
  const index = /^\d+$/.test(step) ? Number(step) : Number.NaN;
  if (!(index <= greatest)) throw unappliable(`list index ${step} is out of bounds`);
  return index;
}

function unappliable(why: string): StatusError {
  return new StatusError("Invalid", `the server rejected our request due to an error in our request: ${why}`);
}
