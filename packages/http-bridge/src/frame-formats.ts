import type { RequestHead, ResponseHead } from "@fairlead/protocol";
import type { FrameLength } from "./frame-cutter.ts";
import { headerValues } from "./headers.ts";

/** A SPDY frame's head: control bit and stream id or type, flags, length (SPDY 3.1, 2.2). */
export const SPDY_HEAD_BYTES = 8;
/** The longest head of a WebSocket's frame: two bytes, a length of eight, a mask (RFC 6455, 5.2). */
export const WEBSOCKET_HEAD_BYTES = 14;
/** A payload of up to this many bytes has its length in the second byte, and a control frame has no longer one. */
export const WEBSOCKET_SHORT_BYTES = 125;

/** So much of a frame to the client is held back until it is whole, at most. The kubelet copies in pieces of 32 KiB. */
export const MAX_HELD_BYTES = 256 * 1024;

/** The subprotocols in which channel 3 carries a command's result as a Status (KEP 4006). */
const WITH_STATUS = new Set(["v4.channel.k8s.io", "v5.channel.k8s.io"]);

export const spdyLength: FrameLength = (bytes, at) =>
  bytes.length - at < SPDY_HEAD_BYTES ? undefined : SPDY_HEAD_BYTES + bytes.readUIntBE(at + 5, 3);

export const webSocketLength: FrameLength = (bytes, at) => {
  const start = webSocketPayloadAt(bytes, at);
  if (start === undefined) return undefined;
  const short = bytes.readUInt8(at + 1) & 0x7f;
  if (short <= WEBSOCKET_SHORT_BYTES) return start + short;
  return start + (short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2)));
};

/** Where the payload of a WebSocket's frame starts, counted from the frame's start; undefined while its length is not there. */
export function webSocketPayloadAt(bytes: Buffer, at = 0): number | undefined {
  const second = bytes[at + 1];
  if (second === undefined) return undefined;
  const short = second & 0x7f;
  const length = short <= WEBSOCKET_SHORT_BYTES ? 2 : short === 126 ? 4 : 10;
  if (bytes.length - at < length) return undefined;
  return length + (second >= 0x80 ? 4 : 0); // the mask
}

/** What an exec or attach speaks once it is upgraded; undefined for other requests, and what nobody here reads. */
export function remoteCommandFrames(request: RequestHead, answer: ResponseHead): "spdy" | "websocket" | undefined {
  if (!/^[^?]*\/(exec|attach)(\?|$)/.test(request.target)) return undefined;
  const upgrade = answer.upgrade.toLowerCase();
  if (upgrade === "spdy/3.1") return "spdy";
  const [protocol = ""] = headerValues(answer.headers, "sec-websocket-protocol");
  return upgrade === "websocket" && WITH_STATUS.has(protocol) ? "websocket" : undefined;
}
