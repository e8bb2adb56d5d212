import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "@jest/globals";
import { RequestFrameSchema, ResponseFrameSchema } from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { requestMessage, responseMessage } from "./lane-fixture.ts";
import { peekFrame, requestWantsTimings } from "./peek-frame.ts";

const REQUEST_CASES = ["head", "data", "end", "whole"] as const;
const RESPONSE_CASES = ["ready", "informational", "head", "data", "end", "whole", "error"] as const;

describe("a frame's field number, read without decoding", () => {
  it.each(REQUEST_CASES)("is that of %s in a request frame", (name) => {
    expect(peekFrame(requestMessage(name))).toBe(RequestFrameSchema.field[name].number);
  });

  it.each(RESPONSE_CASES)("is that of %s in a response frame", (name) => {
    expect(peekFrame(responseMessage(name))).toBe(ResponseFrameSchema.field[name].number);
  });

  it("is the same for a frame of any length", () => {
    for (const length of [0, 1, 127, 128, 16_383, 16_384, 65_536, 2_000_000]) {
      const frame = { case: "data" as const, value: { data: new Uint8Array(length) } };
      expect(peekFrame(toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame })))).toBe(2);
    }
  });

  it("is the same in a view into a larger buffer", () => {
    const message = requestMessage("end");
    const larger = Buffer.concat([Buffer.from([1, 2, 3]), message, Buffer.from([4])]);
    expect(peekFrame(larger.subarray(3, 3 + message.length))).toBe(3);
  });

  it.each([
    ["nothing", []],
    ["a tag alone", [0x0a]],
    ["a tag that goes on and does not", [0x8a]],
    ["a tag of five bytes", [0x8a, 0x80, 0x80, 0x80, 0x00, 0x00]],
    ["a length that goes on and does not", [0x0a, 0x80]],
    ["a length beyond the bytes", [0x0a, 0x02, 0x00]],
    ["a length that no number holds", [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]],
    ["a byte after the field", [0x0a, 0x00, 0x00]],
    ["two frames, one after the other", [0x0a, 0x00, 0x1a, 0x00]],
    ["the same frame twice", [0x0a, 0x00, 0x0a, 0x00]],
    ["a varint field", [0x08, 0x01]],
    ["a 64-bit field", [0x09, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["a group", [0x0b, 0x0c]],
    ["a 32-bit field", [0x0d, 0, 0, 0, 0]],
    ["a wire type that does not exist", [0x0e, 0x00]],
    ["the other wire type that does not exist", [0x0f, 0x00]],
    ["the field number 0", [0x02, 0x00]],
  ])("is 0 for %s", (_what, bytes) => {
    expect(peekFrame(Uint8Array.from(bytes))).toBe(0);
  });

  it("is 0 for every frame that was cut or made longer", () => {
    const head = { target: "/api/v1/pods", headers: [{ name: "Accept", value: Buffer.alloc(300, "a") }] };
    const frame = { case: "whole" as const, value: { head, body: Buffer.from("body") } };
    const whole = toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame }));
    for (let length = 0; length < whole.length; length++) expect(peekFrame(whole.subarray(0, length))).toBe(0);
    expect(peekFrame(Buffer.concat([whole, Buffer.of(0)]))).toBe(0);
    expect(peekFrame(whole)).toBe(4);
  });
});

describe("whether a request wants timings, read without decoding", () => {
  it("is no for frames without a head and for malformed ones", () => {
    const odd = [[], [0x0a], [0x0a, 0x05, 0x38], [0x0a, 0x02, 0x3d, 0x00], [0x22, 0x02, 0x0a, 0x7f]];
    expect(odd.map((bytes) => requestWantsTimings(Uint8Array.from(bytes)))).toEqual(odd.map(() => false));
    expect(requestWantsTimings(requestMessage("whole"))).toBe(false);
    expect(requestWantsTimings(requestMessage("head"))).toBe(false);
  });
});
