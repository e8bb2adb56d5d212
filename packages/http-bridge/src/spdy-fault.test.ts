import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { MAX_HELD_BYTES } from "./frame-formats.ts";
import { SpdyFault } from "./spdy-fault.ts";
import { seeded } from "./wire-fixture.ts";

const LOST = new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, '"gone" \u{1f6a2}');
const SYN_STREAM = 1;
const SYN_REPLY = 2;
const PING = 6;

function dataFrame(stream: number, payload: Uint8Array | string, flags = 0): Buffer {
  const body = Buffer.from(payload);
  const frame = Buffer.alloc(8 + body.length);
  frame.writeUInt32BE(stream, 0);
  frame.writeUInt8(flags, 4);
  frame.writeUIntBE(body.length, 5, 3);
  body.copy(frame, 8);
  return frame;
}

function controlFrame(type: number, payload: Uint8Array): Buffer {
  const frame = Buffer.concat([Buffer.alloc(8), payload]);
  frame.writeUInt16BE(0x8003, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUIntBE(payload.length, 5, 3);
  return frame;
}

const RESULT = dataFrame(1, '{"status":"Success"}', 1);
const OUTPUT = dataFrame(3, "hello\n");
const ORDINARY = [
  controlFrame(SYN_REPLY, Buffer.alloc(12, 1)),
  controlFrame(SYN_REPLY, Buffer.from([0, 0, 0, 1, 0, 0, 0, 9])),
  OUTPUT,
  controlFrame(PING, Buffer.from([0, 0, 0, 1])),
  dataFrame(3, ""),
  dataFrame(1, ""), // the error stream, but no result: only its header
  dataFrame(0x01_00_00_01, "another stream whose id ends alike"),
];

describe("the follower of SPDY frames", () => {
  it("passes all bytes as they came, however they are cut, once the frames are whole", () => {
    const stream = Buffer.concat([...ORDINARY, RESULT, OUTPUT]);
    for (let at = 0; at <= stream.length; at++) {
      const fault = new SpdyFault();
      const passed = Buffer.concat([fault.pass(stream.subarray(0, at)), fault.pass(stream.subarray(at))]);
      expect(passed.equals(stream)).toBe(true);
    }
    const bytewise = new SpdyFault();
    expect(Buffer.concat([...stream].map((byte) => bytewise.pass(Buffer.of(byte)))).equals(stream)).toBe(true);
  });

  it("passes 200 random streams of frames as they came, in random cuts, and holds less than a frame", () => {
    const random = seeded(31);
    for (let run = 0; run < 200; run++) {
      const frames = Array.from({ length: 1 + random(20) }, () => randomFrame(random));
      const stream = Buffer.concat(frames);
      const longest = Math.max(...frames.map(({ length }) => length));
      const fault = new SpdyFault();
      const passed: Buffer[] = [];
      let [fed, out, most] = [0, 0, 0];
      while (fed < stream.length) {
        const piece = stream.subarray(fed, fed + 1 + random(run % 2 === 0 ? 400 : 20_000));
        fed += piece.length;
        const now = fault.pass(piece);
        passed.push(now);
        out += now.length;
        most = Math.max(most, fed - out);
      }
      expect(most).toBeLessThan(Math.min(longest, MAX_HELD_BYTES));
      expect(Buffer.concat(passed).equals(stream)).toBe(true);
    }
  });

  it("holds back a cut frame up to 256 KiB, and passes on what is longer", () => {
    const held = new SpdyFault();
    expect(held.pass(dataFrame(3, Buffer.alloc(MAX_HELD_BYTES - 8)).subarray(0, -1)).length).toBe(0);
    expect(held.pass(Buffer.of(0)).length).toBe(MAX_HELD_BYTES);

    const longer = new SpdyFault();
    const frame = dataFrame(3, Buffer.alloc(MAX_HELD_BYTES));
    expect(longer.pass(frame.subarray(0, MAX_HELD_BYTES - 1)).length).toBe(0);
    expect(longer.pass(frame.subarray(MAX_HELD_BYTES - 1, -1)).length).toBe(frame.length - 1);
    expect(longer.pass(Buffer.concat([frame.subarray(-1), RESULT])).length).toBe(1 + RESULT.length);
  });
});

describe("an exec over SPDY that ends", () => {
  it("with its result gets nothing in addition", () => {
    for (const cut of [1, 8, 9, RESULT.length]) {
      const fault = new SpdyFault();
      fault.pass(Buffer.concat([...ORDINARY, RESULT.subarray(0, cut)]));
      fault.pass(RESULT.subarray(cut));
      expect(fault.unfinished(LOST)).toBeUndefined();
    }
  });

  it.each([
    ["nothing came", []],
    ["only ordinary frames came", ORDINARY],
    ["the result was cut in its header", [...ORDINARY, RESULT.subarray(0, 5)]],
    ["the result was cut in its middle", [...ORDINARY, RESULT.subarray(0, 12)]],
    ["output was cut in its middle", [...ORDINARY, OUTPUT.subarray(0, 10)]],
  ])("when %s gets the fault as a whole frame of its error stream, with FIN", (_when, pieces) => {
    const fault = new SpdyFault();
    const passed = Buffer.concat(pieces.map((piece) => fault.pass(piece)));
    const told = fault.unfinished(LOST);
    if (!told) throw new Error("nothing was told");

    // What the client gets is whole frames, the last of them ours.
    const frames = parse(Buffer.concat([passed, told]));
    const last = frames.at(-1);
    expect(last?.subarray(0, 5)).toEqual(Buffer.from([0, 0, 0, 1, 1]));
    expect(JSON.parse(String(last?.subarray(8)))).toEqual({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: 'fairlead: relay: "gone" \u{1f6a2}',
      reason: "BadGateway",
      code: 502,
    });
    expect(passed.equals(Buffer.concat(frames.slice(0, -1)))).toBe(true);
  });

  it("within a frame over the limit gets nothing, which would be read as that frame's bytes", () => {
    const fault = new SpdyFault();
    fault.pass(dataFrame(3, Buffer.alloc(MAX_HELD_BYTES)).subarray(0, MAX_HELD_BYTES));
    expect(fault.unfinished(LOST)).toBeUndefined();
  });
});

/** Cuts whole frames apart. @throws Error if the last one is cut */
function parse(stream: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const length = 8 + stream.readUIntBE(at + 5, 3);
    if (at + length > stream.length) throw new Error("the last frame is cut");
    frames.push(stream.subarray(at, at + length));
    at += length;
  }
  return frames;
}

function randomFrame(random: (end: number) => number): Buffer {
  const length = [0, 1, 7, 8, 9, 200, 3_000, 30_000][random(8)] ?? 0;
  const payload = Buffer.alloc(length, random(256));
  if (random(100) === 0) return dataFrame(3, Buffer.alloc(MAX_HELD_BYTES + 10));
  return random(3) === 0
    ? controlFrame([SYN_STREAM, SYN_REPLY, PING][random(3)] ?? PING, payload)
    : dataFrame(random(9), payload);
}
