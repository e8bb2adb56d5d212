import type { Fields } from "./kubernetes-object.ts";
import { StatusError } from "./status.ts";

/** What kubectl's typed commands (auth whoami, create configmap) send since 1.32, with no way back to JSON. */
export const protobufMediaType = "application/vnd.kubernetes.protobuf";

type FieldKind = "string" | "bytes" | "boolean" | "strings" | "mapOfStrings" | "mapOfBytes" | Message;
/** Fields of one message by number; a field left out here is skipped. */
interface Message {
  [fieldNumber: number]: [name: string, kind: FieldKind];
}

// From the generated.proto files of k8s.io/api and k8s.io/apimachinery v0.36.
const objectMeta: Message = {
  1: ["name", "string"],
  2: ["generateName", "string"],
  3: ["namespace", "string"],
  5: ["uid", "string"],
  6: ["resourceVersion", "string"],
  11: ["labels", "mapOfStrings"],
  12: ["annotations", "mapOfStrings"],
  14: ["finalizers", "strings"],
};
const resourceAttributes: Message = {
  1: ["namespace", "string"],
  2: ["verb", "string"],
  3: ["group", "string"],
  4: ["version", "string"],
  5: ["resource", "string"],
  6: ["subresource", "string"],
  7: ["name", "string"],
};
const accessSpec: Message = {
  1: ["resourceAttributes", resourceAttributes],
  2: ["nonResourceAttributes", { 1: ["path", "string"], 2: ["verb", "string"] }],
};
const messagesByKind = new Map<string, Message>([
  [
    "ConfigMap",
    {
      1: ["metadata", objectMeta],
      2: ["data", "mapOfStrings"],
      3: ["binaryData", "mapOfBytes"],
      4: ["immutable", "boolean"],
    },
  ],
  ["Namespace", { 1: ["metadata", objectMeta] }],
  ["SelfSubjectReview", { 1: ["metadata", objectMeta] }],
  ["SelfSubjectAccessReview", { 1: ["metadata", objectMeta], 2: ["spec", accessSpec] }],
  ["SelfSubjectRulesReview", { 1: ["metadata", objectMeta], 2: ["spec", { 1: ["namespace", "string"] }] }],
]);
const envelope: Message = {
  1: ["typeMeta", { 1: ["apiVersion", "string"], 2: ["kind", "string"] }],
  2: ["raw", "bytes"],
};
const magic = Buffer.from("k8s\0");

/**
 * Reads a protobuf request body into the object its JSON form would give.
 * @throws StatusError UnsupportedMediaType for a kind without a table here; RangeError for damaged bytes
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
 */
export function parseProtobuf(body: Buffer): Fields {
  if (!body.subarray(0, magic.length).equals(magic)) throw new RangeError("the body has no Kubernetes protobuf prefix");
  const { typeMeta, raw } = decode(body.subarray(magic.length), envelope);
  const { apiVersion, kind } = typeMeta as Fields;
  const message = messagesByKind.get(String(kind));
  if (!message) throw new StatusError("UnsupportedMediaType", `the demo cluster reads ${kind} as JSON or YAML only`);
  return { apiVersion, kind, ...decode(Buffer.from(String(raw ?? ""), "base64"), message) };
}

/** @see https://protobuf.dev/programming-guides/encoding/ */
function decode(bytes: Buffer, message: Message): Fields {
  const fields: Fields = {};
  let offset = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes.readUInt8(offset);
      offset += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (offset < bytes.length) {
    const tag = varint();
    const wireType = tag % 8;
    // Kubernetes messages use varints and length-delimited fields only.
    if (wireType !== 0 && wireType !== 2) throw new RangeError(`unexpected wire type ${wireType}`);
    const length = varint();
    const [name, kind] = message[Math.floor(tag / 8)] ?? [];
    if (wireType === 0) {
      if (name !== undefined && kind === "boolean") fields[name] = length !== 0;
      continue;
    }
    const payload = bytes.subarray(offset, offset + length);
    if (payload.length !== length) throw new RangeError("a field is longer than its message");
    offset += length;
    if (name !== undefined && kind !== undefined) setField(fields, name, kind, payload);
  }
  return fields;
}

function setField(fields: Fields, name: string, kind: FieldKind, payload: Buffer): void {
  if (typeof kind === "object") fields[name] = decode(payload, kind);
  else if (kind === "string") putText(fields, name, payload.toString("utf8"));
  else if (kind === "bytes") fields[name] = payload.toString("base64");
  else if (kind === "strings")
    fields[name] = [...((fields[name] as string[] | undefined) ?? []), payload.toString("utf8")];
  else if (kind !== "boolean") {
    const entry = decode(payload, { 1: ["key", "string"], 2: ["value", kind === "mapOfBytes" ? "bytes" : "string"] });
    fields[name] = { ...(fields[name] as Fields | undefined), [String(entry.key ?? "")]: entry.value ?? "" };
  }
}

/** Go writes unset strings as empty ones; JSON leaves them out. */
function putText(fields: Fields, name: string, text: string): void {
  if (text !== "") fields[name] = text;
}
