import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "@jest/globals";
import { errorCodeName, FairleadError, hopName } from "./errors.ts";
import { ErrorCode, ErrorSchema, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { MAX_ERROR_MESSAGE_BYTES } from "./limits.ts";

const messageOf = (text: string): string => new FairleadError(ErrorCode.INTERNAL, Hop.RELAY, text).message;

describe("an error's message", () => {
  it("stays as it is up to 700 bytes", () => {
    for (const text of ["", "short", "x".repeat(700), "é".repeat(350), "🚢".repeat(175)]) {
      expect(messageOf(text)).toBe(text);
    }
  });

  it.each(["x", "é", "漢", "🚢"])(
    "of many %s is cut at 700 bytes, between two characters, and says so",
    (character) => {
      // Each shift moves the characters' borders against the limit.
      for (const shift of ["", "a", "ab", "abc"]) {
        const cut = messageOf(shift + character.repeat(800));
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(MAX_ERROR_MESSAGE_BYTES);
        expect(Buffer.byteLength(cut)).toBeGreaterThan(MAX_ERROR_MESSAGE_BYTES - 8);
        expect(cut).toBe(`${shift}${character.repeat([...cut].length - shift.length - 1)}…`);
      }
    },
  );

  it("has no half of a surrogate pair, which neither protobuf nor gRPC could carry", () => {
    expect(messageOf("a\ud83db\udea2c")).toBe("a\ufffdb\ufffdc");
    expect(messageOf(`\ud83d${"x".repeat(800)}`).isWellFormed()).toBe(true);
  });
});

describe("an error", () => {
  it("is the same after it went over the wire", () => {
    const error = new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, "too many", { retryAfterSeconds: 3 });
    const read = FairleadError.fromMessage(fromBinary(ErrorSchema, toBinary(ErrorSchema, error.toMessage())));
    expect(read).toMatchObject({ code: error.code, hop: error.hop, message: "too many", retryAfterSeconds: 3 });
  });

  it("from a peer that keeps to no limit is cut when it is read", () => {
    const { $typeName } = new FairleadError(ErrorCode.INTERNAL, Hop.AGENT, "").toMessage();
    const long = {
      $typeName,
      code: ErrorCode.INTERNAL,
      hop: Hop.AGENT,
      message: "x".repeat(5_000),
      retryAfterSeconds: 0,
    };
    expect(Buffer.byteLength(FairleadError.fromMessage(long).message)).toBeLessThanOrEqual(MAX_ERROR_MESSAGE_BYTES);
  });

  it("of this type stays the same when it is taken in again", () => {
    const error = new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, "no");
    expect(FairleadError.from(error, Hop.AGENT)).toBe(error);
  });

  it("of this type that a library has wrapped is taken out", () => {
    const error = new FairleadError(ErrorCode.UNREACHABLE, Hop.RELAY, "no");
    expect(FairleadError.from(new Error("fetch failed", { cause: error }), Hop.CLIENT_PROXY)).toBe(error);
  });

  it("of this type that names no hop gets the one that took it in", () => {
    const error = new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.UNSPECIFIED, "odd", { retryAfterSeconds: 2 });
    const { code, message, retryAfterSeconds } = error;
    const taken = FairleadError.from(error, Hop.AGENT);
    expect(taken).toMatchObject({ code, message, retryAfterSeconds, hop: Hop.AGENT, cause: error });
  });

  it.each([
    [new TypeError("x is not a function"), "identity proxy failed: x is not a function"],
    ["a string", "identity proxy failed: a string"],
    [undefined, "identity proxy failed: undefined"],
  ])("of another origin becomes INTERNAL with its cause kept", (thrown, message) => {
    const error = FairleadError.from(thrown, Hop.IDENTITY_PROXY);
    expect(error).toMatchObject({ code: ErrorCode.INTERNAL, hop: Hop.IDENTITY_PROXY, message });
    expect(error.cause).toBe(thrown);
  });

  it("has no cause of its own making", () => {
    expect("cause" in new FairleadError(ErrorCode.INTERNAL, Hop.RELAY, "alone")).toBe(false);
    expect(new FairleadError(ErrorCode.INTERNAL, Hop.RELAY, "alone").retryAfterSeconds).toBe(0);
  });
});

describe("names for people and programs", () => {
  it.each([
    [Hop.CLIENT_PROXY, "client proxy"],
    [Hop.RELAY, "relay"],
    [Hop.AGENT, "agent"],
    [Hop.IDENTITY_PROXY, "identity proxy"],
    [Hop.APISERVER, "apiserver"],
    [77 as Hop, "unknown hop"],
  ])("call the hop %i %s", (hop, name) => {
    expect(hopName(hop)).toBe(name);
  });

  it("call a code as the schema does, and one of a later version by its number", () => {
    expect(errorCodeName(ErrorCode.AGENT_NOT_CONNECTED)).toBe("AGENT_NOT_CONNECTED");
    expect(errorCodeName(9_999 as ErrorCode)).toBe("CODE_9999");
  });
});
