import { create } from "@bufbuild/protobuf";
import {
  type Data,
  DataSchema,
  type End,
  EndSchema,
  ErrorCode,
  FairleadError,
  type Header,
  type Hop,
  MAX_FRAME_DATA_BYTES,
} from "@fairlead/protocol";

/** The frames that carry a body, the same in both directions. */
export type BodyFrame = { case: "data"; value: Data } | { case: "end"; value: End };

/** Cuts one direction of an exchange into frames and counts their offsets. */
export class BodyFramer {
  #offset = 0n;
  readonly #send: (frame: BodyFrame) => boolean;

  /** @param send sends a frame; false means wait */
  constructor(send: (frame: BodyFrame) => boolean) {
    this.#send = send;
  }

  /** Sends bytes, in frames of at most 64 KiB. @returns false: wait until the lane is drained */
  data(bytes: Uint8Array): boolean {
    let flows = true;
    for (let at = 0; at < bytes.length; at += MAX_FRAME_DATA_BYTES) {
      const data = bytes.subarray(at, at + MAX_FRAME_DATA_BYTES);
      flows = this.#send({ case: "data", value: create(DataSchema, { offset: this.#offset, data }) });
      this.#offset += BigInt(data.length);
    }
    return flows;
  }

  /** Says that the direction is complete. */
  end(trailers: Header[] = []): void {
    this.#send({ case: "end", value: create(EndSchema, { offset: this.#offset, trailers }) });
  }
}

/** Checks that the frames of one direction join without a gap. */
export class OffsetCheck {
  #expected = 0n;
  readonly #peerHop: Hop;

  /** @param peerHop the hop that sends, named in the error */
  constructor(peerHop: Hop) {
    this.#peerHop = peerHop;
  }

  /** Takes in a frame. @throws FairleadError PROTOCOL_VIOLATION if bytes are missing or repeated, or too many at once */
  accept(frame: Data | End): Uint8Array {
    if (frame.data.length > MAX_FRAME_DATA_BYTES) {
      throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, this.#peerHop, "a frame carries more than 64 KiB");
    }
    if (frame.offset !== this.#expected) {
      const sentence = `the body goes on at byte ${frame.offset} where ${this.#expected} was due`;
      throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, this.#peerHop, sentence);
    }
    this.#expected += BigInt(frame.data.length);
    return frame.data;
  }
}
