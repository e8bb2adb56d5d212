import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "@jest/globals";
import { encodeRequestFrame, encodeResponseFrame } from "./encode-frame.ts";
import type { Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type RequestFrame,
  RequestFrameSchema,
  type ResponseFrame,
  ResponseFrameSchema,
  ResponseHeadSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { withGrpcPrefix } from "./grpc-framing.ts";
import { SeededRandom } from "./lane-fixture.ts";

/** What a field of a random message may be: its default, something short, something that needs longer lengths. */
function randomMessage<D extends DescMessage>(schema: D, random: SeededRandom, depth = 0): MessageInitShape<D> {
  const init: Record<string, unknown> = {};
  for (const field of schema.fields) {
    const count = random.pick([0, 1, 3]);
    const one = (): unknown => {
      if (field.message) return randomMessage(field.message, random, depth + 1);
      if (field.enum) return random.pick(field.enum.values).number;
      return randomScalar(field.name, random);
    };
    if (field.oneof) continue;
    if (field.fieldKind === "list") init[field.localName] = Array.from({ length: count }, one);
    else if (count > 0) init[field.localName] = one();
  }
  return init as MessageInitShape<D>;
}

function randomScalar(name: string, random: SeededRandom): unknown {
  const texts = ["", "x", "GET", "é", "日本語", "\u{1f600}", "a".repeat(127), "b".repeat(128), "ü".repeat(9_000)];
  if (["data", "body", "value", "exchange_id", "session_id"].includes(name)) {
    return Buffer.alloc(random.pick([0, 1, 16, 127, 128, 300, 40_000]), random.bytes(7));
  }
  if (name === "offset") return random.pick([0n, 1n, 127n, 128n, 2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 53n - 1n]);
  if (["status", "duration_us", "retry_after_seconds"].includes(name)) {
    return random.pick([0, 1, 127, 128, 200, 65_536, 2 ** 31, 2 ** 32 - 1]);
  }
  return ["wants_timings", "read_only"].includes(name) ? random.pick([true, false]) : random.pick(texts);
}

const FIELDS: [string, DescMessage, string][] = [RequestFrameSchema, ResponseFrameSchema].flatMap((schema) =>
  schema.fields.map((field): [string, DescMessage, string] => [
    `${schema.name}.${field.name}`,
    schema,
    field.localName,
  ]),
);

describe("a frame written by hand", () => {
  it.each(FIELDS)("%s is byte for byte what protobuf-es writes", (_name, schema, frameCase) => {
    const random = new SeededRandom(7);
    const field = schema.fields.find(({ localName }) => localName === frameCase);
    if (field?.message === undefined) throw new Error("a frame is a message");
    for (let i = 0; i < 60; i++) {
      const value = create(field.message, randomMessage(field.message, random) as never);
      const frame = { case: frameCase, value };
      const isRequest = schema === (RequestFrameSchema as DescMessage);
      const written = isRequest
        ? encodeRequestFrame(frame as RequestFrame["frame"])
        : encodeResponseFrame(frame as ResponseFrame["frame"]);
      const expected = toBinary(schema, create(schema, { frame } as never));
      expect(Buffer.compare(written, expected)).toBe(0);
    }
  });

  it("may be larger than all that is allocated at once, up to lengths of four bytes", () => {
    for (const bytes of [4_096, 4_097, 32_763, 32_768, 65_536, 1_048_576, 2_097_152, 3_000_000]) {
      const headers = [{ name: "X", value: Buffer.alloc(bytes, "x") }];
      const frame = {
        case: "whole" as const,
        value: { head: { target: "/", headers }, body: Buffer.alloc(5_000, "y") },
      };
      const message = create(RequestFrameSchema, { frame });
      expect(Buffer.compare(encodeRequestFrame(message.frame), toBinary(RequestFrameSchema, message))).toBe(0);
    }
  });

  it("may name a hop that nobody knows, as a peer's timings may", () => {
    for (const hop of [-1, -(2 ** 31), 99, 2 ** 31 - 1] as Hop[]) {
      const head = create(ResponseHeadSchema, { status: 200, timings: [{ hop, durationUs: 7 }] });
      const written = encodeResponseFrame({ case: "head", value: head });
      expect(fromBinary(ResponseFrameSchema, written).frame.value).toEqual(head);
    }
  });

  it("stays as it is while others are written", () => {
    const random = new SeededRandom(8);
    const kept: { message: Uint8Array; copy: Buffer }[] = [];
    for (let i = 0; i < 400; i++) {
      const data = Buffer.alloc(random.pick([1, 50, 5_000, 40_000]), i);
      const value = { offset: BigInt(i), data, $typeName: "fairlead.tunnel.v1alpha1.Data" as const };
      const message = encodeRequestFrame({ case: "data", value });
      kept.push({ message, copy: Buffer.from(message) });
    }
    for (const { message, copy } of kept) expect(copy.equals(message)).toBe(true);
  });

  it("has gRPC's prefix before it, so that it is sent without a copy", () => {
    for (const bytes of [0, 1, 300, 65_536]) {
      const value = { offset: 5n, data: Buffer.alloc(bytes), $typeName: "fairlead.tunnel.v1alpha1.Data" as const };
      const message = encodeResponseFrame({ case: "data", value });
      const framed = withGrpcPrefix(message);
      expect(framed.buffer).toBe(message.buffer);
      expect([framed[0], framed.readUInt32BE(1), framed.length]).toEqual([0, message.length, message.length + 5]);
    }
  });
});
