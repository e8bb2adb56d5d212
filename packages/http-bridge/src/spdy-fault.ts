import type { RequestHead } from "@fairlead/protocol";

/** kubectl's remotecommand opens its error stream first, so it has SPDY's first client id (client-go, remotecommand/v2.go). */
const ERROR_STREAM_ID = 1;
/** A frame's header: control bit and stream id or type, flags, length (SPDY 3.1, 2.2). */
const FRAME_HEADER_BYTES = 8;
const FLAG_FIN = 1;
/** Longest frame that is held back until it is whole. The kubelet copies in pieces of 32 KiB. */
const MAX_HELD_BYTES = 256 * 1024;

/**
 * Keeps a lost exec from passing for a finished one. Over SPDY every kubectl (1.27 to 1.36) exits 0 when an exec's
 * connection ends, by FIN and by RST alike, unless its error stream said otherwise. This follows the frames on their
 * way to the client, and when the connection is lost before the error stream had its result, writes one there: a
 * Status that kubectl prints, with exit code 1.
 *
 * It only counts frame headers. It holds back the incomplete last frame (at most 256 KiB), so that what it writes
 * starts where a frame starts.
 */
export class SpdyFault {
  #held: Buffer = Buffer.alloc(0);
  #skip = 0;
  #resultSeen = false;

  /** One for an exec or attach by SPDY; nothing for other requests. */
  static for(head: RequestHead): SpdyFault | undefined {
    const isRemoteCommand = /\/(exec|attach)(\?|$)/.test(head.target);
    return head.upgrade.toLowerCase() === "spdy/3.1" && isRemoteCommand ? new SpdyFault() : undefined;
  }

  /** Takes in bytes from the cluster and returns those that may go on now. */
  pass(bytes: Uint8Array): Buffer {
    const all = Buffer.concat([this.#held, bytes]);
    let at = Math.min(this.#skip, all.length);
    this.#skip -= at;
    while (this.#skip === 0 && all.length - at >= FRAME_HEADER_BYTES) {
      const length = FRAME_HEADER_BYTES + all.readUIntBE(at + 5, 3);
      if (at + length > all.length && length <= MAX_HELD_BYTES) break;
      // A data frame of the error stream with a payload is the command's result.
      if (all.readUInt32BE(at) === ERROR_STREAM_ID && length > FRAME_HEADER_BYTES) this.#resultSeen = true;
      this.#skip = Math.max(0, at + length - all.length);
      at = Math.min(at + length, all.length);
    }
    this.#held = all.subarray(at);
    return all.subarray(0, at);
  }

  /**
   * The connection is about to end. Returns what to write before it does: the fault, as data of the error stream;
   * nothing if the command's result had come, or if a frame longer than the limit was cut in its middle.
   */
  unfinished(message: string): Buffer | undefined {
    if (this.#resultSeen || this.#skip > 0) return undefined;
    const status = {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message,
      reason: "InternalError",
      code: 500,
    };
    const payload = Buffer.from(JSON.stringify(status));
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32BE(ERROR_STREAM_ID, 0);
    header.writeUInt8(FLAG_FIN, 4);
    header.writeUIntBE(payload.length, 5, 3);
    return Buffer.concat([header, payload]);
  }
}
