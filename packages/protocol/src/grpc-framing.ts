/** Bytes before each message: a flag for compression and a length (gRPC over HTTP/2, Length-Prefixed-Message). */
const PREFIX_BYTES = 5;

/** Puts gRPC's prefix before a message, in one buffer, so that one write carries both. */
export function withGrpcPrefix(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/** Why a byte stream is not one of gRPC messages. */
export type FramingFault = "compressed" | "too large";

/** Cuts a byte stream into gRPC messages. Holds at most one incomplete message. */
export class GrpcMessageReader {
  #held: Buffer = Buffer.alloc(0);
  readonly #maxMessageBytes: number;

  /** @param maxMessageBytes a message announced as longer is a fault before its bytes are read */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Whether a message has begun and not ended: at the end of the stream that is a truncation. */
  get incomplete(): boolean {
    return this.#held.length > 0;
  }

  /** Takes the next bytes in and returns the messages that they complete, or the fault. */
  read(chunk: Buffer): Buffer[] | FramingFault {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const messages: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= PREFIX_BYTES) {
      if (bytes[at] !== 0) return "compressed";
      const length = bytes.readUInt32BE(at + 1);
      if (length > this.#maxMessageBytes) return "too large";
      const end = at + PREFIX_BYTES + length;
      if (end > bytes.length) break;
      messages.push(bytes.subarray(at + PREFIX_BYTES, end));
      at = end;
    }
    this.#held = bytes.subarray(at);
    return messages;
  }
}
