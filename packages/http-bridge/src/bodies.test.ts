import { create } from "@bufbuild/protobuf";
import { DataSchema, EndSchema, ErrorCode, Hop, MAX_FRAME_DATA_BYTES } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { type BodyFrame, BodyFramer, OffsetCheck } from "./bodies.ts";
import { header } from "./headers.ts";

describe("a body on its way into frames", () => {
  it("is cut into frames of at most 64 KiB whose offsets join", () => {
    const frames: BodyFrame[] = [];
    const framer = new BodyFramer((frame) => {
      frames.push(frame);
      return true;
    });
    const bytes = Buffer.alloc(MAX_FRAME_DATA_BYTES * 2 + 5, 7);
    framer.data(bytes);
    framer.data(Buffer.alloc(0));
    framer.data(Buffer.from("abc"));
    framer.end([header("X-Sum", "1")]);
    expect(frames.map(({ case: name, value }) => [name, Number(value.offset), value.data.length])).toEqual([
      ["data", 0, MAX_FRAME_DATA_BYTES],
      ["data", MAX_FRAME_DATA_BYTES, MAX_FRAME_DATA_BYTES],
      ["data", MAX_FRAME_DATA_BYTES * 2, 5],
      ["data", bytes.length, 3],
      ["end", bytes.length + 3, 0],
    ]);
    expect(frames.at(-1)?.value).toMatchObject({ trailers: [{ name: "X-Sum" }] });
  });

  it("says to wait when its last frame says so", () => {
    const answers = [false, true, true, false];
    const framer = new BodyFramer(() => answers.shift() ?? true);
    expect(framer.data(Buffer.alloc(MAX_FRAME_DATA_BYTES + 1))).toBe(true);
    expect(framer.data(Buffer.alloc(MAX_FRAME_DATA_BYTES + 1))).toBe(false);
    expect(framer.data(Buffer.alloc(0))).toBe(true);
  });
});

describe("a body on its way out of frames", () => {
  const data = (offset: bigint, bytes: number) => create(DataSchema, { offset, data: new Uint8Array(bytes) });
  const violation = expect.objectContaining({ code: ErrorCode.PROTOCOL_VIOLATION, hop: Hop.RELAY });

  it("is taken while its frames join", () => {
    const check = new OffsetCheck(Hop.RELAY);
    expect(check.accept(data(0n, 3)).length).toBe(3);
    expect(check.accept(data(3n, 0)).length).toBe(0);
    expect(check.accept(create(EndSchema, { offset: 3n, data: new Uint8Array(2) })).length).toBe(2);
  });

  it.each([
    ["missing", 4n],
    ["repeated", 2n],
    ["repeated from the start", 0n],
    ["of another world", 2n ** 64n - 1n],
  ])("is refused when bytes are %s", (_what, offset) => {
    const check = new OffsetCheck(Hop.RELAY);
    check.accept(data(0n, 3));
    expect(() => check.accept(data(offset, 1))).toThrow(violation);
  });

  it("is refused when its end carries more than 64 KiB", () => {
    const end = (bytes: number) => create(EndSchema, { data: new Uint8Array(bytes) });
    expect(() => new OffsetCheck(Hop.RELAY).accept(end(MAX_FRAME_DATA_BYTES))).not.toThrow();
    expect(() => new OffsetCheck(Hop.RELAY).accept(end(MAX_FRAME_DATA_BYTES + 1))).toThrow(violation);
  });
});
