import type { FairleadError } from "@fairlead/protocol";
import { FrameCutter } from "./frame-cutter.ts";
import { MAX_HELD_BYTES, WEBSOCKET_SHORT_BYTES, webSocketLength, webSocketPayloadAt } from "./frame-formats.ts";
import type { RemoteCommandFault } from "./remote-command-fault.ts";
import { statusBody } from "./status.ts";

const ERROR_CHANNEL = 3;
/** Bits of a frame's first byte, and opcodes (RFC 6455, 5.2). */
const FINAL = 0x80;
const RESERVED = 0x70;
const CONTROL = 0x08;
const OPCODE = 0x0f;
const BINARY = 0x02;
const CLOSE = 0x08;
/** RFC 6455, 5.5.1 and 7.4.1. */
const NORMAL_CLOSE = Buffer.from([0x88, 0x02, 0x03, 0xe8]);

/** For an exec or attach by WebSocket. Cut, kubectl exits 1 as well, but says "close 1006" and nothing of why. */
export class WebSocketFault implements RemoteCommandFault {
  readonly #cutter = new FrameCutter(webSocketLength, MAX_HELD_BYTES);
  #isFragmented = false;
  /** The command's result has come, or the server's own close; or what comes is compressed, and cannot be told apart. */
  #isOver = false;

  pass(bytes: Uint8Array): Buffer {
    return this.#cutter.cut(bytes, (passed, start, end) => this.#onFrame(passed.subarray(start, end)));
  }

  /** Between the fragments of a message nothing can be told. */
  unfinished(error: FairleadError): Buffer | undefined {
    if (this.#isOver || this.#isFragmented || !this.#cutter.atBorder) return undefined;
    const status = Buffer.from(statusBody(error));
    const length = status.length + 1;
    const head =
      length <= WEBSOCKET_SHORT_BYTES ? [FINAL | BINARY, length] : [FINAL | BINARY, 126, length >> 8, length & 0xff];
    return Buffer.concat([Buffer.from([...head, ERROR_CHANNEL]), status, NORMAL_CLOSE]);
  }

  /** A server's frame: without mask. */
  #onFrame(frame: Buffer): void {
    const first = frame.readUInt8(0);
    const start = webSocketPayloadAt(frame) as number;
    const opcode = first & OPCODE;
    const isResult = opcode === BINARY && frame.length > start + 1 && frame[start] === ERROR_CHANNEL;
    if (isResult || opcode === CLOSE || (first & RESERVED) !== 0) this.#isOver = true;
    if ((first & CONTROL) === 0) this.#isFragmented = (first & FINAL) === 0; // a control frame may come between fragments
  }
}
