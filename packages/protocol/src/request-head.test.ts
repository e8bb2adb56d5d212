import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "@jest/globals";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type RequestFrame,
  type RequestHead,
  RequestHeadSchema,
  WholeRequestSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { MAX_FRAME_DATA_BYTES, MAX_HEAD_BYTES } from "./limits.ts";
import { requestHeadOf } from "./request-head.ts";

type HeadInit = Exclude<MessageInitShape<typeof RequestHeadSchema>, RequestHead>;

const headOf = (change: HeadInit = {}): RequestHead =>
  create(RequestHeadSchema, { exchangeId: new Uint8Array(16), method: "GET", target: "/", ...change });
const head = (change: HeadInit): RequestFrame["frame"] => ({ case: "head", value: headOf(change) });
const whole = (of: RequestHead | undefined, bodyBytes = 0): RequestFrame["frame"] => ({
  case: "whole",
  value: create(WholeRequestSchema, { ...(of && { head: of }), body: new Uint8Array(bodyBytes) }),
});
const header = (bytes: number) => ({ name: "x", value: new Uint8Array(bytes) });

describe("the head that opens an exchange", () => {
  it.each([
    ["a head", head({})],
    ["a head that asks for an upgrade", head({ upgrade: "SPDY/3.1" })],
    ["a head of 1 MiB", head({ headers: [header(MAX_HEAD_BYTES - 2)] })],
    ["a whole request with a body of 64 KiB", whole(headOf(), MAX_FRAME_DATA_BYTES)],
  ])("is taken from %s", (_what, frame) => {
    expect(requestHeadOf(frame, Hop.AGENT).method).toBe("GET");
  });

  it.each([
    ["a whole request without one", whole(undefined), ErrorCode.PROTOCOL_VIOLATION],
    ["another frame", { case: "data" as const, value: {} as never }, ErrorCode.PROTOCOL_VIOLATION],
    ["an exchange id of no bytes", head({ exchangeId: new Uint8Array() }), ErrorCode.PROTOCOL_VIOLATION],
    ["an exchange id of 17 bytes", head({ exchangeId: new Uint8Array(17) }), ErrorCode.PROTOCOL_VIOLATION],
    ["headers over 1 MiB", head({ headers: [header(MAX_HEAD_BYTES)] }), ErrorCode.HEAD_TOO_LARGE],
    ["a target over 1 MiB", head({ target: `/${"x".repeat(MAX_HEAD_BYTES)}` }), ErrorCode.HEAD_TOO_LARGE],
    ["a whole upgrade", whole(headOf({ upgrade: "websocket" })), ErrorCode.PROTOCOL_VIOLATION],
    ["a body over 64 KiB", whole(headOf(), MAX_FRAME_DATA_BYTES + 1), ErrorCode.PROTOCOL_VIOLATION],
  ])("is refused for %s", (_what, frame, code) => {
    expect(() => requestHeadOf(frame, Hop.AGENT)).toThrow(expect.objectContaining({ code, hop: Hop.AGENT }));
  });
});
