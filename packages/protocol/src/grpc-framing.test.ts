import { describe, expect, it } from "@jest/globals";
import { GrpcMessageReader, withGrpcPrefix } from "./grpc-framing.ts";
import { SeededRandom } from "./lane-fixture.ts";

const MAX_BYTES = 1_000;

/** Feeds a reader piece by piece and returns all messages, or the fault. */
function readAll(reader: GrpcMessageReader, pieces: Iterable<Buffer>): Buffer[] | string {
  const messages: Buffer[] = [];
  for (const piece of pieces) {
    const read = reader.read(piece);
    if (typeof read === "string") return read;
    messages.push(...read);
  }
  return messages;
}

function* cutInto(bytes: Buffer, nextLength: () => number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const length = nextLength();
    yield Buffer.from(bytes.subarray(at, at + length)); // a buffer of its own, as a socket gives it
    at += length;
  }
}

const MESSAGES = ["", "a", "", "bcd", "x".repeat(300), "", "é".repeat(40)].map((text) => Buffer.from(text));
const TEXTS = MESSAGES.map(String);
const STREAM = Buffer.concat(MESSAGES.map(withGrpcPrefix));

describe("gRPC's framing", () => {
  it("puts an uncompressed flag and the length before a message", () => {
    expect(withGrpcPrefix(Buffer.from("abc"))).toEqual(Buffer.from([0, 0, 0, 0, 3, 0x61, 0x62, 0x63]));
    expect(withGrpcPrefix(new Uint8Array())).toEqual(Buffer.from([0, 0, 0, 0, 0]));
  });

  it("reads messages that come in one piece", () => {
    const reader = new GrpcMessageReader(MAX_BYTES);
    expect(readAll(reader, [STREAM])).toEqual(MESSAGES);
    expect(reader.incomplete).toBe(false);
  });

  it("reads the same messages when the stream is cut in two at any byte", () => {
    for (let at = 0; at <= STREAM.length; at++) {
      const reader = new GrpcMessageReader(MAX_BYTES);
      expect([...readAll(reader, [STREAM.subarray(0, at), STREAM.subarray(at)])].map(String)).toEqual(TEXTS);
      expect(reader.incomplete).toBe(false);
    }
  });

  it("reads the same messages byte by byte, and in 300 random cuts", () => {
    const random = new SeededRandom(5);
    for (const most of [1, ...Array.from({ length: 300 }, () => 1 + random.below(50))]) {
      const reader = new GrpcMessageReader(MAX_BYTES);
      expect(
        [
          ...readAll(
            reader,
            cutInto(STREAM, () => 1 + random.below(most)),
          ),
        ].map(String),
      ).toEqual(TEXTS);
    }
  });

  it("does not change a message that it gave when more bytes come", () => {
    const reader = new GrpcMessageReader(MAX_BYTES);
    const stream = Buffer.concat([withGrpcPrefix(Buffer.from("first")), withGrpcPrefix(Buffer.from("other"))]);
    const messages = readAll(
      reader,
      cutInto(stream, () => 1),
    );
    expect(messages).toEqual([Buffer.from("first"), Buffer.from("other")]);
  });

  it("knows within each message that it is incomplete", () => {
    const whole = withGrpcPrefix(Buffer.from("abc"));
    for (let length = 1; length < whole.length; length++) {
      const reader = new GrpcMessageReader(MAX_BYTES);
      expect(reader.read(whole.subarray(0, length))).toEqual([]);
      expect(reader.incomplete).toBe(true);
    }
  });

  it.each([1, 2, 127, 255])("refuses the compression flag %i", (flag) => {
    const message = withGrpcPrefix(Buffer.from("abc"));
    message[0] = flag;
    expect(readAll(new GrpcMessageReader(MAX_BYTES), [message])).toBe("compressed");
    expect(readAll(new GrpcMessageReader(MAX_BYTES), [withGrpcPrefix(Buffer.from("abc")), message])).toBe("compressed");
  });

  it("takes a message of just the limit, and refuses a longer one by its prefix alone", () => {
    const longest = Buffer.alloc(MAX_BYTES);
    expect(readAll(new GrpcMessageReader(MAX_BYTES), [withGrpcPrefix(longest)])).toEqual([longest]);
    const announced = (length: number): Buffer => {
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(length, 1);
      return prefix;
    };
    expect(new GrpcMessageReader(MAX_BYTES).read(announced(MAX_BYTES + 1))).toBe("too large");
    expect(new GrpcMessageReader(MAX_BYTES).read(announced(0xffff_ffff))).toBe("too large");
  });

  it("takes a message of 1 MiB in pieces of 16 bytes", () => {
    const message = Buffer.alloc(1024 * 1024, 7);
    const stream = withGrpcPrefix(message);
    const reader = new GrpcMessageReader(message.length);
    let read: Buffer[] | string = [];
    for (let at = 0; at < stream.length; at += 16) read = reader.read(stream.subarray(at, at + 16));
    expect(read).toHaveLength(1);
    expect(message.equals(read[0] as Buffer)).toBe(true);
  });
});
