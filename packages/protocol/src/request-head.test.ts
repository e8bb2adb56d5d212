import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "@jest/globals";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type RequestFrame,
  type RequestHead,
  RequestHeadSchema,
  WholeRequestSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { decodeRequest } from "./lane.ts";
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
    ["a head with the client's name", head({ client: "fairlead/0.1.0" })],
    ["a head with a client's name of 128 characters", head({ client: "x".repeat(128) })],
    ["a head with a scope", head({ scope: { readOnly: true, groups: { names: ["dev"] } } })],
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
    ["a client's name of 129 characters", head({ client: "x".repeat(129) }), ErrorCode.PROTOCOL_VIOLATION],
    ["a client's name of two lines", head({ client: "a\nb" }), ErrorCode.PROTOCOL_VIOLATION],
    ["a client's name that is not ASCII", head({ client: "é" }), ErrorCode.PROTOCOL_VIOLATION],
    [
      "group names over 1 MiB",
      head({ scope: { groups: { names: ["x".repeat(MAX_HEAD_BYTES)] } } }),
      ErrorCode.HEAD_TOO_LARGE,
    ],
    ["a whole upgrade", whole(headOf({ upgrade: "websocket" })), ErrorCode.PROTOCOL_VIOLATION],
    ["a body over 64 KiB", whole(headOf(), MAX_FRAME_DATA_BYTES + 1), ErrorCode.PROTOCOL_VIOLATION],
  ])("is refused for %s", (_what, frame, code) => {
    expect(() => requestHeadOf(frame, Hop.AGENT)).toThrow(expect.objectContaining({ code, hop: Hop.AGENT }));
  });
});

describe("a scope with a limit that this version does not know", () => {
  /** Field 1 a head, in it field 1 the id and field 8 the scope, in that an unknown field 3. */
  const message = (scope: number[]) => {
    const headBytes = [0x0a, 16, ...new Array<number>(16).fill(1), 0x42, scope.length, ...scope];
    return Uint8Array.from([0x0a, headBytes.length, ...headBytes]);
  };

  it.each([
    ["beside the others", [0x08, 1, 0x18, 1]],
    ["alone", [0x18, 1]],
    ["within its groups", [0x12, 2, 0x10, 1]],
  ])("is refused and not left out: %s", (_where, scope) => {
    expect(() => requestHeadOf(decodeRequest(message(scope)), Hop.AGENT)).toThrow(
      expect.objectContaining({ code: ErrorCode.PROTOCOL_VIOLATION, message: expect.stringMatching(/does not know/) }),
    );
  });

  it("is told from one that has only known ones", () => {
    const known = requestHeadOf(decodeRequest(message([0x08, 1, 0x12, 5, 0x0a, 3, 0x64, 0x65, 0x76])), Hop.AGENT);
    expect(known.scope).toMatchObject({ readOnly: true, groups: { names: ["dev"] } });
    expect(requestHeadOf(decodeRequest(message([0x12, 0])), Hop.AGENT).scope?.groups?.names).toEqual([]);
  });
});
