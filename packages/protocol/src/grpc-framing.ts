/** Bytes before each message: a flag for compression and a length (gRPC over HTTP/2, Length-Prefixed-Message). */
export const PREFIX_BYTES = 5;

/**
 * Puts gRPC's prefix before a message, in one buffer, so that one write carries both. A message that was cut from a
 * stream still has its prefix before it, and is not copied.
 */
export function withGrpcPrefix(message: Uint8Array): Buffer {
  const before = prefixBefore(message);
  if (before) return before;
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  writePrefix(framed, 0, message.length);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/** Writes the prefix of a message of `length` bytes. @param at where in the buffer */
export function writePrefix(buffer: Buffer, at: number, length: number): void {
  buffer[at] = 0;
  buffer.writeUInt32BE(length, at + 1);
}

function prefixBefore({ buffer, byteOffset, length }: Uint8Array): Buffer | undefined {
  if (byteOffset < PREFIX_BYTES) return undefined;
  const framed = Buffer.from(buffer, byteOffset - PREFIX_BYTES, PREFIX_BYTES + length);
  return framed[0] === 0 && framed.readUInt32BE(1) === length ? framed : undefined;
}

/** Why a byte stream is not one of gRPC messages. */
export type FramingFault = "compressed" | "too large";

/** Most that is allocated for a message on the word of its prefix alone. */
const TRUSTED_BYTES = 80 * 1024;

/** Cuts a byte stream into gRPC messages. Holds at most one incomplete message. */
export class GrpcMessageReader {
  readonly #maxMessageBytes: number;
  /** The beginning of a message, prefix included, and room behind it. */
  #held: Buffer = NOTHING;
  #heldBytes = 0;

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
    const messages: Buffer[] = [];
    let at = 0;
    if (this.#heldBytes > 0) {
      const used = this.#complete(chunk);
      if (typeof used === "string") return used;
      if (this.#heldBytes < PREFIX_BYTES || this.#heldBytes < this.#end()) return messages;
      messages.push(this.#held.subarray(PREFIX_BYTES, this.#heldBytes));
      this.#held = NOTHING; // it was given away
      this.#heldBytes = 0;
      at = used;
    }
    while (chunk.length - at >= PREFIX_BYTES) {
      const fault = this.#faultOf(chunk, at);
      if (fault) return fault;
      const end = at + PREFIX_BYTES + chunk.readUInt32BE(at + 1);
      if (end > chunk.length) break;
      messages.push(chunk.subarray(at + PREFIX_BYTES, end));
      at = end;
    }
    if (at < chunk.length) this.#hold(chunk.subarray(at));
    return messages;
  }

  /** Adds to the message that is held what it lacks. @returns how many bytes of the chunk that took */
  #complete(chunk: Buffer): number | FramingFault {
    let used = 0;
    if (this.#heldBytes < PREFIX_BYTES) {
      used = Math.min(PREFIX_BYTES - this.#heldBytes, chunk.length);
      this.#append(chunk.subarray(0, used));
      if (this.#heldBytes < PREFIX_BYTES) return used;
      const fault = this.#faultOf(this.#held, 0);
      if (fault) return fault;
    }
    const more = Math.min(this.#end() - this.#heldBytes, chunk.length - used);
    this.#append(chunk.subarray(used, used + more));
    return used + more;
  }

  /** Where the message that is held ends; its prefix is there. */
  #end(): number {
    return PREFIX_BYTES + this.#held.readUInt32BE(1);
  }

  #faultOf(bytes: Buffer, at: number): FramingFault | undefined {
    if (bytes[at] !== 0) return "compressed";
    return bytes.readUInt32BE(at + 1) > this.#maxMessageBytes ? "too large" : undefined;
  }

  #hold(beginning: Buffer): void {
    this.#held = NOTHING;
    this.#append(beginning);
  }

  /**
   * Makes room for the whole message at once where its prefix has come: one copy for each piece would let a peer that
   * sends byte by byte stall us. Nobody gets more than some room for a mere announcement: beyond it the room doubles.
   */
  #append(piece: Buffer): void {
    const length = this.#heldBytes + piece.length;
    if (length > this.#held.length) {
      const prefix = this.#heldBytes >= PREFIX_BYTES ? this.#held : piece;
      const announced = length < PREFIX_BYTES ? PREFIX_BYTES : PREFIX_BYTES + prefix.readUInt32BE(1);
      const room = Math.max(length, Math.min(announced, Math.max(TRUSTED_BYTES, this.#held.length * 2)));
      const larger = Buffer.allocUnsafe(room);
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(piece, this.#heldBytes);
    this.#heldBytes = length;
  }
}

const NOTHING = Buffer.alloc(0);
