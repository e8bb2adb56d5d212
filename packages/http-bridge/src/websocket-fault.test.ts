import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { MAX_HELD_BYTES } from "./frame-formats.ts";
import { WebSocketFault } from "./websocket-fault.ts";

const FAULT = new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, "your token expired");

/** A frame of a server's, as RFC 6455 has it. */
function frame(first: number, payload: Buffer): Buffer {
  const { length } = payload;
  if (length < 126) return Buffer.concat([Buffer.from([first, length]), payload]);
  const head = Buffer.alloc(length < 65_536 ? 4 : 10);
  head[0] = first;
  head[1] = length < 65_536 ? 126 : 127;
  if (length < 65_536) head.writeUInt16BE(length, 2);
  else head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

const output = (bytes: number) => frame(0x82, Buffer.alloc(bytes, 1));
const PING = frame(0x89, Buffer.from("ping"));
const RESULT = frame(0x82, Buffer.from('\u0003{"status":"Success"}'));

/** The Status of the frames that tell a fault, which must be one message on channel 3 and a normal close. */
function toldBy(fault: WebSocketFault) {
  const told = Buffer.from(fault.unfinished(FAULT) ?? []);
  expect(told[0]).toBe(0x82);
  expect(told[1]).toBe(126);
  const length = told.readUInt16BE(2);
  expect(told[4]).toBe(3);
  expect(told.subarray(4 + length)).toEqual(Buffer.from([0x88, 0x02, 0x03, 0xe8]));
  return JSON.parse(told.subarray(5, 4 + length).toString());
}

describe("a fault of an exec over WebSocket", () => {
  it("is told as the command's result, and then the connection is closed", () => {
    const status = { kind: "Status", status: "Failure", reason: "Unauthorized", code: 401 };
    expect(toldBy(new WebSocketFault())).toMatchObject({ ...status, message: "fairlead: relay: your token expired" });
  });

  it.each([
    ["nothing", []],
    ["a frame without payload", [frame(0x82, Buffer.alloc(0))]],
    ["short output", [output(5)]],
    ["output of 125 bytes", [output(125)]],
    ["output of 126 bytes", [output(126)]],
    ["output of 65,535 bytes", [output(65_535)]],
    ["output of 70,000 bytes", [output(70_000)]],
    ["a ping", [PING]],
    [
      "a message in fragments, with a ping between",
      [frame(0x02, Buffer.from("\u0001a")), PING, frame(0x80, Buffer.from("b"))],
    ],
    ["an error channel that was opened with nothing", [frame(0x82, Buffer.from([3]))]],
    ["output that begins like the error channel", [frame(0x82, Buffer.from([1, 3, 3]))]],
  ])("is told behind %s, however it came cut", (_what, frames) => {
    const bytes = Buffer.concat(frames);
    for (const size of [1, 2, 3, 7, 1_000, 100_000]) {
      const fault = new WebSocketFault();
      for (let at = 0; at < bytes.length; at += size) fault.pass(bytes.subarray(at, at + size));
      expect(toldBy(fault)).toMatchObject({ status: "Failure" });
    }
  });

  it("is told wherever a frame was cut, of which nothing reached the client then", () => {
    const bytes = Buffer.concat([output(5), output(300), output(70_000)]);
    for (let length = 1; length < bytes.length; length += length < 400 ? 1 : 997) {
      const fault = new WebSocketFault();
      const passed = fault.pass(bytes.subarray(0, length)).length;
      expect([0, 7, 311]).toContain(passed);
      expect(toldBy(fault)).toMatchObject({ status: "Failure" });
    }
  });

  it("is not told within a frame of which the client has a part: it would be read as output", () => {
    const fault = new WebSocketFault();
    const bytes = output(MAX_HELD_BYTES);
    expect(fault.pass(bytes.subarray(0, MAX_HELD_BYTES - 1))).toHaveLength(0);
    expect(toldBy(fault)).toMatchObject({ status: "Failure" });
    expect(fault.pass(bytes.subarray(MAX_HELD_BYTES - 1, -1))).toHaveLength(bytes.length - 1);
    expect(fault.unfinished(FAULT)).toBeUndefined();
    fault.pass(bytes.subarray(-1));
    expect(toldBy(fault)).toMatchObject({ status: "Failure" });
  });

  it("is not told between the fragments of a message", () => {
    const fault = new WebSocketFault();
    fault.pass(Buffer.concat([frame(0x02, Buffer.from("\u0001a")), PING]));
    expect(fault.unfinished(FAULT)).toBeUndefined();
  });

  it.each([
    ["the command's result has come", RESULT],
    ["it has come in fragments", Buffer.concat([frame(0x02, Buffer.from("\u0003{")), frame(0x80, Buffer.from("}"))])],
    ["it may have come, compressed", frame(0xc2, Buffer.from("anything"))],
    ["the server has closed", frame(0x88, Buffer.from([3, 232]))],
  ])("is not told once %s", (_what, last) => {
    const fault = new WebSocketFault();
    fault.pass(Buffer.concat([output(5), last]));
    expect(fault.unfinished(FAULT)).toBeUndefined();
  });
});
