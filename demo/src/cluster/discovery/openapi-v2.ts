import { type ResourceType, resourceTypes } from "../resource-types.ts";
import { demoVersion } from "../seed.ts";
import { prefixOf } from "./discovery.ts";
import { writeParameterNames } from "./openapi.ts";

/**
 * The only form of OpenAPI v2 that kubectl asks for, and 1.27 and 1.28 do not start an `apply` without it. They
 * ask for "…spec.v2@v1.0+protobuf" but cannot parse that as the answer's media type; this is the one they can.
 */
export const openApiV2MediaType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

type Field = [fieldNumber: number, value: string | Buffer];

/**
 * The OpenAPI v2 document, as little of it as the old kubectls need: which types take which parameters on PATCH.
 * It defines no schemas, so those kubectls leave all validation to the server.
 * @see https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto
 */
export function openApiV2Document(): Buffer {
  const patchable = resourceTypes.filter((type) => type.verbs.includes("patch"));
  const paths = message(...patchable.map((type): Field => [2, pathOf(type)]));
  const title = "The Fairlead demo cluster";
  return message([1, "2.0"], [2, message([1, title], [2, demoVersion])], [8, paths]);
}

function pathOf(type: ResourceType): Buffer {
  const collection = `${prefixOf(type)}/${type.namespaced ? "namespaces/{namespace}/" : ""}${type.plural}`;
  const parameters = writeParameterNames.map((name): Field => [8, queryParameter(name)]);
  const { group, version, kind } = type;
  // An extension's value is YAML, of which JSON is a part.
  const value = message([2, JSON.stringify({ group, version, kind })]);
  const extension = message([1, "x-kubernetes-group-version-kind"], [2, value]);
  const patch = message([5, `patch${kind}`], ...parameters, [13, extension]);
  return message([1, `${collection}/{name}`], [2, message([8, patch])]);
}

/** ParametersItem > Parameter > NonBodyParameter > QueryParameterSubSchema */
function queryParameter(name: string): Buffer {
  const schema = message([2, "query"], [4, name], [6, "string"]);
  return message([1, message([2, message([3, schema])])]);
}

/** @see https://protobuf.dev/programming-guides/encoding/#length-types */
function message(...fields: Field[]): Buffer {
  const parts = fields.flatMap(([fieldNumber, value]) => {
    const payload = Buffer.from(value);
    return [varint(fieldNumber * 8 + 2), varint(payload.length), payload];
  });
  return Buffer.concat(parts);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Buffer.from([...bytes, rest]);
}
