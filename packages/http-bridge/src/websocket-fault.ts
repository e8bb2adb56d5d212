import type { FairleadError } from "@fairlead/protocol";
import { type Frame, FrameCutter } from "./frame-cutter.ts";
import { MAX_HELD_BYTES, WEBSOCKET_SHORT_BYTES, webSocketLength, webSocketPayloadAt } from "./frame-formats.ts";
import type { RemoteCommandFault } from "./remote-command-fault.ts";
import { statusBody } from "./status.ts";

const ERROR_CHANNEL = 3;
const FINAL = 0x80;
const CONTROL = 0x08;
/** A whole message of bytes, and a normal close (RFC 6455, 5.2, 5.5.1 and 7.4.1). */
const BINARY = 0x82;
const NORMAL_CLOSE = Buffer.from([0x88, 0x02, 0x03, 0xe8]);

/** For an exec or attach by WebSocket. Cut, kubectl exits 1 as well, but says "close 1006" and nothing of why. */
export class WebSocketFault implements RemoteCommandFault {
  readonly #cutter = new FrameCutter(webSocketLength, MAX_HELD_BYTES);
  #isFragmented = false;
  #hasResult = false;

  pass(bytes: Uint8Array): Buffer {
    const { passed, frames } = this.#cutter.cut(bytes);
    for (const frame of frames) this.#onFrame(frame);
    return passed;
  }

  /** Between the fragments of a message nothing can be told. */
  unfinished(error: FairleadError): Buffer | undefined {
    if (this.#hasResult || this.#isFragmented || !this.#cutter.atBorder) return undefined;
    const status = Buffer.from(statusBody(error));
    const length = status.length + 1;
    const head = length <= WEBSOCKET_SHORT_BYTES ? [BINARY, length] : [BINARY, 126, length >> 8, length & 0xff];
    return Buffer.concat([Buffer.from([...head, ERROR_CHANNEL]), status, NORMAL_CLOSE]);
  }

  /** A server's frame: without mask. */
  #onFrame({ bytes }: Frame): void {
    const first = bytes.readUInt8(0);
    const start = webSocketPayloadAt(bytes) as number;
    if (first === BINARY && bytes.length > start + 1 && bytes[start] === ERROR_CHANNEL) this.#hasResult = true;
    if ((first & CONTROL) === 0) this.#isFragmented = (first & FINAL) === 0; // a control frame may come between fragments
  }
}
