import type { FairleadError, ResponseHead } from "@fairlead/protocol";
import { headerValues } from "./headers.ts";
import { statusBody } from "./status.ts";

/** The subprotocols in which channel 3 carries a command's result as a Status (KEP 4006). */
const WITH_STATUS = new Set(["v4.channel.k8s.io", "v5.channel.k8s.io"]);
const ERROR_CHANNEL = 3;
const FINAL = 0x80;
/** A whole message of bytes, and a normal close (RFC 6455, 5.2, 5.5.1 and 7.4.1). */
const BINARY = 0x82;
const NORMAL_CLOSE = Buffer.from([0x88, 0x02, 0x03, 0xe8]);
/** A frame up to this many bytes has its length in the second byte. */
const SHORT_BYTES = 125;

/**
 * Follows the frame borders of an exec's or attach's WebSocket towards the client, so that a fault can be told as the
 * command's result. Cut, kubectl exits 1 as well, but says "close 1006" and nothing of why. Frames are RFC 6455, 5.2,
 * from a server: without mask. Nothing is held back: within a frame, and between the fragments of a message, nothing
 * can be told.
 */
export class WebSocketFault {
  /** What has come of a frame's head: its two bytes, its longer length, and the first byte of the payload. */
  #head: number[] = [];
  #payloadLeft = 0;
  #isFragmented = false;
  #hasResult = false;

  /** @returns undefined where the answer switches to another protocol */
  static for(answer: ResponseHead): WebSocketFault | undefined {
    const [protocol = ""] = headerValues(answer.headers, "sec-websocket-protocol");
    const isWebSocket = answer.upgrade.toLowerCase() === "websocket";
    return isWebSocket && WITH_STATUS.has(protocol) ? new WebSocketFault() : undefined;
  }

  /** Bytes went to the client. */
  pass(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const skipped = Math.min(this.#payloadLeft, bytes.length - at);
      this.#payloadLeft -= skipped;
      at += skipped;
      if (at < bytes.length) this.#onHeadByte(bytes[at++] as number);
    }
  }

  /** The frames that tell the fault; undefined if it cannot be told, or the command's result has come. */
  unfinished(error: FairleadError): Uint8Array | undefined {
    if (this.#hasResult || this.#isFragmented || this.#head.length + this.#payloadLeft > 0) return undefined;
    const status = Buffer.from(statusBody(error));
    const length = status.length + 1;
    const head = length <= SHORT_BYTES ? [BINARY, length] : [BINARY, 126, length >> 8, length & 0xff];
    return Buffer.concat([Buffer.from([...head, ERROR_CHANNEL]), status, NORMAL_CLOSE]);
  }

  #onHeadByte(byte: number): void {
    this.#head.push(byte);
    const [first = 0, second] = this.#head;
    if (second === undefined) return;
    const lengthBytes = second === 127 ? 8 : second === 126 ? 2 : 0;
    if (this.#head.length < 2 + lengthBytes) return;
    const longer = this.#head.slice(2, 2 + lengthBytes).reduce((sum, one) => sum * 256 + one, 0);
    const length = lengthBytes > 0 ? longer : second;
    if (length > 0 && this.#head.length === 2 + lengthBytes) return; // the payload's first byte is its channel
    if (length > 1 && first === BINARY && byte === ERROR_CHANNEL) this.#hasResult = true;
    const isControl = (first & 0x08) !== 0; // may come between fragments
    if (!isControl) this.#isFragmented = (first & FINAL) === 0;
    this.#payloadLeft = Math.max(0, length - 1);
    this.#head = [];
  }
}
