import { create, type DescMessage, equals, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { fc, fuzz, mutated } from "@fairlead/fuzzing";
import { describe, expect, it } from "@jest/globals";
import { encodeRequestFrame, encodeResponseFrame } from "./encode-frame.ts";
import { FairleadError } from "./errors.ts";
import { anyRequestFrame, anyResponseFrame } from "./frame-arbitrary-fixture.ts";
import { FrameOrder } from "./frame-order.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type RequestFrame,
  RequestFrameSchema,
  type ResponseFrame,
  ResponseFrameSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { decodeRequest, decodeResponse } from "./lane.ts";
import { peekFrame, requestWantsTimings } from "./peek-frame.ts";
import { requestHeadOf } from "./request-head.ts";

type Frame = RequestFrame | ResponseFrame;

/** One direction of a lane, as its two ends write and read it. */
interface Direction {
  schema: typeof RequestFrameSchema | typeof ResponseFrameSchema;
  frames: fc.Arbitrary<Frame>;
  write(frame: Frame): Uint8Array;
  read(bytes: Uint8Array): Frame;
}

const REQUESTS: Direction = {
  schema: RequestFrameSchema,
  frames: anyRequestFrame,
  write: ({ frame }) => encodeRequestFrame(frame as RequestFrame["frame"]),
  read: (bytes) => create(RequestFrameSchema, { frame: decodeRequest(bytes) }),
};
const RESPONSES: Direction = {
  schema: ResponseFrameSchema,
  frames: anyResponseFrame,
  write: ({ frame }) => encodeResponseFrame(frame as ResponseFrame["frame"]),
  read: (bytes) => create(ResponseFrameSchema, { frame: decodeResponse(bytes) }),
};
const DIRECTIONS: [what: string, direction: Direction][] = [
  ["request", REQUESTS],
  ["response", RESPONSES],
];

/** What a call gives, or the error of ours that it throws. @throws whatever else it throws */
function outcome<T>(call: () => T): T | FairleadError {
  try {
    return call();
  } catch (error) {
    if (error instanceof FairleadError) return error;
    throw error;
  }
}

const fieldOf = ({ schema }: Direction, { frame }: Frame): number =>
  schema.fields.find(({ localName }) => localName === frame.case)?.number ?? 0;
const areSame = ({ schema }: Direction, a: Frame, b: Frame): boolean =>
  equals(schema as typeof RequestFrameSchema, a as RequestFrame, b as RequestFrame);

describe.each(DIRECTIONS)("any %s frame", (_what, direction) => {
  it("is read as it was written, by us and by protobuf-es, and known by its field number", async () => {
    const property = fc.property(direction.frames, (frame) => {
      for (const bytes of [
        direction.write(frame),
        toBinary(direction.schema as typeof RequestFrameSchema, frame as RequestFrame),
      ]) {
        expect(areSame(direction, direction.read(bytes), frame)).toBe(true);
        expect(peekFrame(bytes)).toBe(fieldOf(direction, frame));
      }
    });
    await fuzz(400, property);
  });
});

describe.each(DIRECTIONS)("the bytes of any message in the place of a %s frame", (_what, direction) => {
  /** Tags and lengths of every wire type among others: groups in groups, numbers that no number holds. */
  const pieces = fc.oneof(
    fc.tuple(fc.nat({ max: 255 })),
    fc.array(fc.nat({ max: 255 }), { maxLength: 6 }),
    fc.array(fc.constantFrom(0x00, 0x01, 0x08, 0x0a, 0x0b, 0x0c, 0x12, 0x1a, 0x22, 0x2a, 0x7f, 0x80, 0xff), {
      maxLength: 12,
    }),
    fc
      .tuple(fc.nat({ max: 255 }), fc.nat({ max: 30_000 }))
      .map(([byte, length]) => Array(length).fill(byte) as number[]),
  );
  const changed = mutated(
    direction.frames.map(direction.write).map((bytes) => [...bytes]),
    pieces,
  );
  /** Changed within, so that it is a frame as far as a peek sees. */
  const changedWithin = fc
    .tuple(fc.constantFrom(...direction.schema.fields), mutated(direction.frames.map(valueBytes), pieces))
    .map(([{ number }, value]) =>
      new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(Uint8Array.from(value)).finish(),
    );
  const messages = fc.oneof(
    { weight: 4, arbitrary: changed.map((bytes) => Uint8Array.from(bytes)) },
    { weight: 4, arbitrary: changedWithin },
    { weight: 1, arbitrary: pieces.map((bytes) => Uint8Array.from(bytes)) },
  );

  it("are refused by one code, or are a frame that is written again as the same, and known by its field number", async () => {
    const seen = { refused: 0, read: 0 };
    const property = fc.property(messages, (bytes) => {
      const peeked = peekFrame(bytes);
      const frame = outcome(() => direction.read(bytes));
      if (frame instanceof FairleadError) {
        expect(frame.code).toBe(ErrorCode.PROTOCOL_VIOLATION);
        seen.refused++;
        return;
      }
      const field = fieldOf(direction, frame);
      if (direction.schema.fields.some(({ number }) => number === peeked)) expect(field).toBe(peeked);
      if (hasUnsafeOffset(frame)) return;
      const written = direction.write(frame);
      expect(peekFrame(written)).toBe(field);
      expect(areSame(direction, direction.read(written), frame)).toBe(true);
      seen.read++;
    });
    await fuzz(800, property);
    expect(Math.min(seen.refused, seen.read)).toBeGreaterThan(20);
  });
});

/** The bytes of the message that a frame is, without the tag and the length before it. */
function valueBytes({ frame }: Frame): number[] {
  const { value } = frame;
  if (value === undefined) throw new Error("the frame is empty");
  const schema = [...RequestFrameSchema.fields, ...ResponseFrameSchema.fields].find(
    ({ message }) => message?.typeName === value.$typeName,
  );
  return [...toBinary(schema?.message as DescMessage, value)];
}

/** More bytes than anybody sends: the end that wrote it counts up to 2^53, and no hop writes it again. */
function hasUnsafeOffset({ frame }: Frame): boolean {
  return (frame.case === "data" || frame.case === "end") && frame.value.offset > BigInt(Number.MAX_SAFE_INTEGER);
}

describe("any request frame", () => {
  const headOf = ({ frame }: RequestFrame) =>
    frame.case === "head" ? frame.value : frame.case === "whole" ? frame.value.head : undefined;

  it("wants timings without being decoded exactly when it wants them decoded", async () => {
    const seen = { asked: 0, unasked: 0 };
    const heads = anyRequestFrame.filter((frame) => headOf(frame) !== undefined);
    const property = fc.property(heads, (frame) => {
      const wants = headOf(frame)?.wantsTimings ?? false;
      expect(requestWantsTimings(encodeRequestFrame(frame.frame))).toBe(wants);
      if (wants) seen.asked++;
      else seen.unasked++;
    });
    await fuzz(400, property);
    expect(Math.min(seen.asked, seen.unasked)).toBeGreaterThan(20);
  });

  it("wants timings or does not, whatever was changed in it", async () => {
    const bytes = mutated(
      anyRequestFrame.map(({ frame }) => [...encodeRequestFrame(frame)]),
      fc.array(fc.nat({ max: 255 }), { maxLength: 6 }),
    );
    const property = fc.property(bytes, (all) => {
      expect(typeof requestWantsTimings(Uint8Array.from(all))).toBe("boolean");
    });
    await fuzz(400, property);
  });

  it("opens an exchange by a head that is as the schema says, or is refused by one of two codes", async () => {
    const seen = { opened: 0, refused: 0 };
    const property = fc.property(anyRequestFrame, ({ frame }) => {
      const head = outcome(() => requestHeadOf(frame, Hop.AGENT));
      if (head instanceof FairleadError) {
        expect([ErrorCode.PROTOCOL_VIOLATION, ErrorCode.HEAD_TOO_LARGE]).toContain(head.code);
        seen.refused++;
        return;
      }
      expect(head.exchangeId).toHaveLength(16);
      expect(head.client).toMatch(/^[ -~]{0,128}$/);
      expect(frame.case === "whole" && head.upgrade !== "").toBe(false);
      seen.opened++;
    });
    await fuzz(400, property);
    expect(Math.min(seen.opened, seen.refused)).toBeGreaterThan(10);
  });
});

describe("any order of frames", () => {
  /** The schema's grammars once more, as a whole: what has come so far may go on to be a stream in good order. */
  it.each<[what: string, schema: Direction["schema"], letters: Record<string, string>, begun: RegExp]>([
    [
      "requests",
      RequestFrameSchema,
      { head: "h", data: "d", end: "e", whole: "w", credential: "c" },
      /^(?:hd*e|w|c)*(?:hd*)?$/,
    ],
    [
      "responses",
      ResponseFrameSchema,
      { ready: "r", informational: "i", head: "h", data: "d", end: "e", whole: "w", error: "x" },
      /^(?:r(?:i*(?:hd*[ex]|w|x))*(?:i*(?:hd*)?))?$/,
    ],
  ])("of %s is taken as far as it is in the grammar", async (_what, schema, letters, begun) => {
    const order = new FrameOrder(schema);
    const numbers = schema.fields.map(({ number }) => number);
    const letterOf = new Map(schema.fields.map(({ number, localName }) => [number, letters[localName]]));
    // Mostly what may follow, so that orders get long; now and then anything.
    const steps = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 9 })), { maxLength: 30, size: "max" });
    const property = fc.property(steps, (all) => {
      let [last, text] = [0, ""];
      for (const [choice, mood] of all) {
        const fitting = numbers.filter((number) => order.allows(last, number));
        const from = mood === 0 ? [...numbers, 0, 99] : fitting;
        const next = from[choice % from.length] ?? 0;
        text += letterOf.get(next) ?? "?";
        expect([text, order.allows(last, next)]).toEqual([text, begun.test(text)]);
        if (!order.allows(last, next)) return;
        last = next;
      }
    });
    await fuzz(500, property);
  });
});
