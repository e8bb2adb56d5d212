import type { FairleadError } from "@fairlead/protocol";
import { FrameCutter } from "./frame-cutter.ts";
import { MAX_HELD_BYTES, SPDY_HEAD_BYTES, spdyLength } from "./frame-formats.ts";
import type { RemoteCommandFault } from "./remote-command-fault.ts";
import { statusBody } from "./status.ts";

/** kubectl's remotecommand opens its error stream first, so it has SPDY's first client id (client-go, remotecommand/v2.go). */
const ERROR_STREAM_ID = 1;
const FLAG_FIN = 1;

/**
 * Keeps a lost exec from passing for a finished one. Over SPDY every kubectl (1.27 to 1.36) exits 0 when an exec's
 * connection ends, by FIN and by RST alike, unless its error stream said otherwise. When the connection is lost before
 * the error stream had its result, this writes one there: a Status that kubectl prints, with exit code 1.
 */
export class SpdyFault implements RemoteCommandFault {
  readonly #cutter = new FrameCutter(spdyLength, MAX_HELD_BYTES);
  #hasResult = false;

  pass(bytes: Uint8Array): Buffer {
    return this.#cutter.cut(bytes, (passed, start, end) => {
      // A data frame of the error stream with a payload is the command's result.
      if (passed.readUInt32BE(start) === ERROR_STREAM_ID && end - start > SPDY_HEAD_BYTES) this.#hasResult = true;
    });
  }

  unfinished(error: FairleadError): Buffer | undefined {
    if (this.#hasResult || !this.#cutter.atBorder) return undefined;
    const payload = Buffer.from(statusBody(error));
    const head = Buffer.alloc(SPDY_HEAD_BYTES);
    head.writeUInt32BE(ERROR_STREAM_ID, 0);
    head.writeUInt8(FLAG_FIN, 4);
    head.writeUIntBE(payload.length, 5, 3);
    return Buffer.concat([head, payload]);
  }
}
