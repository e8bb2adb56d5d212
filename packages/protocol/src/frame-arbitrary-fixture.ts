import { create, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { fc } from "@fairlead/fuzzing";
import {
  type RequestFrame,
  RequestFrameSchema,
  type ResponseFrame,
  ResponseFrameSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";

/** A message whose fields are whatever the schema lets them be; counts of bytes are those that a double can hold. */
function anyMessage(schema: DescMessage): fc.Arbitrary<Message> {
  const fields = Object.fromEntries(schema.fields.map((field) => [field.localName, anyValue(field)]));
  return fc.record(fields, { requiredKeys: [] }).map((init) => create(schema, init));
}

function anyValue(field: DescField): fc.Arbitrary<unknown> {
  const one = field.message
    ? anyMessage(field.message)
    : field.enum
      ? fc.oneof(fc.constantFrom(...field.enum.values.map(({ number }) => number)), fc.integer()) // proto3's are open
      : anyScalar(field.name, field.scalar);
  return field.fieldKind === "list" ? fc.array(one, { maxLength: 4 }) : one;
}

function anyScalar(name: string, scalar: ScalarType | undefined): fc.Arbitrary<unknown> {
  switch (scalar) {
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.STRING:
      return fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[A-Z]{1,7}$/));
    case ScalarType.BYTES:
      return name === "exchange_id" ? fc.oneof(fc.uint8Array({ minLength: 16, maxLength: 16 }), bytes()) : bytes();
    case ScalarType.UINT32:
      return fc.nat({ max: 2 ** 32 - 1 });
    case ScalarType.UINT64:
      return fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });
    default:
      throw new Error(`the fixture does not know what ${name} is`);
  }
}

/** Few bytes, or so many that their length needs more than one. */
function bytes(): fc.Arbitrary<Uint8Array> {
  const many = fc.nat({ max: 20_000 }).map((length) => Buffer.alloc(length, "x"));
  return fc.oneof({ weight: 9, arbitrary: fc.uint8Array({ maxLength: 20 }) }, { weight: 1, arbitrary: many });
}

function anyFrame(schema: DescMessage): fc.Arbitrary<Message> {
  const frames = schema.fields.map(({ localName, message }) => {
    if (message === undefined) throw new Error("a frame is a message");
    return anyMessage(message).map((value) => create(schema, { frame: { case: localName, value } } as never));
  });
  return fc.oneof(...frames);
}

export const anyRequestFrame = anyFrame(RequestFrameSchema) as fc.Arbitrary<RequestFrame>;
export const anyResponseFrame = anyFrame(ResponseFrameSchema) as fc.Arbitrary<ResponseFrame>;
