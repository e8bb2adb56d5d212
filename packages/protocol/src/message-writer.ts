import { PREFIX_BYTES, writePrefix } from "./grpc-framing.ts";
import { DATA_OVERHEAD_BYTES } from "./limits.ts";

/** What is allocated at once; small messages share it. */
const SLAB_BYTES = 32 * 1024;
/** A message that is said to be larger gets room of its own. */
const SMALL_BYTES = 4 * 1024;
/** Most bytes of a varint, and of a tag and a length together. */
const MAX_VARINT_BYTES = 10;

/**
 * Writes one protobuf message from its end to its beginning (protobuf.dev, encoding), so that the length of a part is
 * known when it is due: fields are written last to first. As protobuf-es does, it leaves out a field that has its
 * default.
 */
export class MessageWriter {
  static readonly #shared = new MessageWriter(SLAB_BYTES);
  #slab: Buffer;
  /** Where the message ends. */
  #end: number;
  /** Where what was written of it begins. */
  #at: number;

  private constructor(bytes: number) {
    this.#slab = Buffer.allocUnsafeSlow(bytes);
    this.#end = bytes;
    this.#at = bytes;
  }

  /**
   * Writes a message.
   *
   * @param dataBytes how many bytes of data it carries, if it is a frame of a body
   * @param fields writes its fields, the last one first
   * @returns its bytes, with gRPC's prefix in the five bytes before them
   */
  static write(dataBytes: number, fields: (to: MessageWriter) => void): Uint8Array {
    const isSmall = dataBytes <= SMALL_BYTES;
    const writer = isSmall ? MessageWriter.#shared : new MessageWriter(dataBytes + DATA_OVERHEAD_BYTES + PREFIX_BYTES);
    writer.#end = writer.#at;
    fields(writer);
    return writer.#finish();
  }

  /** How many bytes are written: what {@link close} needs to know of a part's end. */
  get position(): number {
    return this.#end - this.#at;
  }

  /** Writes a part that is a message of its own. */
  message(field: number, fields: () => void): void {
    const end = this.position;
    fields();
    this.close(field, end);
  }

  /** Ends a part that began when {@link position} was `end`. */
  close(field: number, end: number): void {
    this.#varint(this.position - end);
    this.#varint(field * 8 + 2);
  }

  string(field: number, text: string): void {
    if (text.length === 0) return;
    const end = this.position;
    const bytes = Buffer.byteLength(text);
    this.#reserve(bytes);
    this.#slab.write(text, this.#at, bytes);
    this.close(field, end);
  }

  bytes(field: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const end = this.position;
    this.#reserve(bytes.length);
    this.#slab.set(bytes, this.#at);
    this.close(field, end);
  }

  bool(field: number, value: boolean): void {
    if (value) this.uint(field, 1);
  }

  /** A number that is not negative. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.#varint(value);
    this.#varint(field * 8);
  }

  #varint(value: number): void {
    let bytes = 1;
    for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes++;
    this.#reserve(bytes);
    let rest = value;
    for (let i = 0; i < bytes; i++) {
      this.#slab[this.#at + i] = (rest % 128) + (i < bytes - 1 ? 128 : 0);
      rest = Math.floor(rest / 128);
    }
  }

  /** Moves the beginning by `bytes`; a slab with too little room is left to the messages that are in it. */
  #reserve(bytes: number): void {
    if (this.#at < bytes + PREFIX_BYTES) {
      const written = this.#slab.subarray(this.#at, this.#end);
      const size = Math.max(SLAB_BYTES, written.length + bytes + 4 * MAX_VARINT_BYTES + PREFIX_BYTES);
      this.#slab = Buffer.allocUnsafeSlow(size);
      this.#end = size;
      this.#at = size - written.length;
      this.#slab.set(written, this.#at);
    }
    this.#at -= bytes;
  }

  /** With the prefix before it, sending the message needs no copy. */
  #finish(): Uint8Array {
    const message = this.#slab.subarray(this.#at, this.#end);
    this.#at -= PREFIX_BYTES;
    writePrefix(this.#slab, this.#at, message.length);
    return message;
  }
}
