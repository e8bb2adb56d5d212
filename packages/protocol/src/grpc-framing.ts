/** Bytes before each message: a flag for compression and a length (gRPC over HTTP/2, Length-Prefixed-Message). */
const PREFIX_BYTES = 5;

/**
 * Puts gRPC's prefix before a message, in one buffer, so that one write carries both. A message that was cut from a
 * stream still has its prefix before it, and is not copied.
 */
export function withGrpcPrefix(message: Uint8Array): Buffer {
  const before = prefixBefore(message);
  if (before) return before;
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

function prefixBefore({ buffer, byteOffset, length }: Uint8Array): Buffer | undefined {
  if (byteOffset < PREFIX_BYTES) return undefined;
  const framed = Buffer.from(buffer, byteOffset - PREFIX_BYTES, PREFIX_BYTES + length);
  return framed[0] === 0 && framed.readUInt32BE(1) === length ? framed : undefined;
}

/** Why a byte stream is not one of gRPC messages. */
export type FramingFault = "compressed" | "too large";

/** Cuts a byte stream into gRPC messages. Holds at most one incomplete message. */
export class GrpcMessageReader {
  /** The beginning of a message, and room behind it. */
  #held: Buffer = Buffer.alloc(0);
  #heldBytes = 0;
  readonly #maxMessageBytes: number;

  /** @param maxMessageBytes a message announced as longer is a fault before its bytes are read */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Whether a message has begun and not ended: at the end of the stream that is a truncation. */
  get incomplete(): boolean {
    return this.#heldBytes > 0;
  }

  /** Takes the next bytes in and returns the messages that they complete, or the fault. */
  read(chunk: Buffer): Buffer[] | FramingFault {
    const bytes = this.#heldBytes === 0 ? chunk : this.#append(chunk);
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
    // Cut to its length once a message was given away: what is appended is then not written into that one's buffer.
    if (at > 0 || this.#heldBytes === 0) this.#held = bytes.subarray(at);
    this.#heldBytes = bytes.length - at;
    return messages;
  }

  /** Doubles the room when it ends: one copy for each piece would let a peer that sends byte by byte stall us. */
  #append(chunk: Buffer): Buffer {
    const length = this.#heldBytes + chunk.length;
    if (length > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, this.#held.length * 2));
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(chunk, this.#heldBytes);
    return this.#held.subarray(0, length);
  }
}
