/** Tells the whole length of the frame that starts at `at`, in bytes; undefined while that is still unknown. */
export type FrameLength = (bytes: Buffer, at: number) => number | undefined;

/** Hears of a frame that starts in what passes: from `start` to `end` is all of it, or its beginning. */
export type OnFrame = (passed: Buffer, start: number, end: number) => void;

/** Finds where frames start in a stream of bytes, by their heads alone. */
export class FrameCutter {
  readonly #lengthOf: FrameLength;
  readonly #leastBytes: number;
  /** Its own copy: a few bytes that came must not keep alive the message that they came in. */
  #held: Buffer = Buffer.alloc(0);
  #heldBytes = 0;
  /** Before so many are held there is nothing new to see. */
  #neededBytes = 0;
  /** Bytes still to come of a frame whose beginning has passed. */
  #left = 0;

  /** @param leastBytes so much of a frame is held back until it is there together, or the frame whole */
  constructor(lengthOf: FrameLength, leastBytes: number) {
    this.#lengthOf = lengthOf;
    this.#leastBytes = leastBytes;
  }

  /** Takes in bytes. @returns those that may go on now */
  cut(bytes: Uint8Array, onFrame: OnFrame): Buffer {
    let all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.#heldBytes > 0) {
      this.#hold(bytes);
      if (this.#heldBytes < this.#neededBytes) return Buffer.alloc(0);
      all = this.rest();
    }
    let at = Math.min(this.#left, all.length);
    this.#left -= at;
    while (at < all.length) {
      const length = this.#lengthOf(all, at);
      this.#neededBytes = length === undefined ? all.length - at + 1 : Math.min(length, this.#leastBytes);
      if (length === undefined || all.length - at < this.#neededBytes) break;
      const end = Math.min(at + length, all.length);
      onFrame(all, at, end);
      this.#left = at + length - end;
      at = end;
    }
    if (at < all.length) this.#hold(all.subarray(at));
    return all.subarray(0, at);
  }

  /** Whether a frame would start with the next byte that passes. */
  get atBorder(): boolean {
    return this.#left === 0;
  }

  /** No more comes. @returns what was held back */
  rest(): Buffer {
    const held = this.#held.subarray(0, this.#heldBytes);
    this.#held = Buffer.alloc(0);
    this.#heldBytes = 0;
    return held;
  }

  #hold(bytes: Uint8Array): void {
    const length = this.#heldBytes + bytes.length;
    if (length > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#held.length));
      this.#held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes = length;
  }
}
