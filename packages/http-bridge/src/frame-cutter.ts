/** Tells the whole length of the frame that starts at `at`, in bytes; undefined while that is still unknown. */
export type FrameLength = (bytes: Buffer, at: number) => number | undefined;

/** The beginning of a frame, or all of it. */
export interface Frame {
  /** Where it starts in what was passed. */
  readonly at: number;
  readonly bytes: Buffer;
}

/** Finds where frames start in a stream of bytes, by their heads alone. */
export class FrameCutter {
  readonly #lengthOf: FrameLength;
  readonly #leastBytes: number;
  #held: Uint8Array[] = [];
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

  /** Takes in bytes. @returns those that may go on now, and the frames that start in them */
  cut(bytes: Uint8Array): { passed: Buffer; frames: Frame[] } {
    this.#hold(bytes);
    if (this.#heldBytes < this.#neededBytes) return { passed: Buffer.alloc(0), frames: [] };
    const all = this.rest();
    const frames: Frame[] = [];
    let at = Math.min(this.#left, all.length);
    this.#left -= at;
    while (at < all.length) {
      const length = this.#lengthOf(all, at);
      this.#neededBytes = length === undefined ? all.length - at + 1 : Math.min(length, this.#leastBytes);
      if (all.length - at < this.#neededBytes) break;
      const end = Math.min(at + (length as number), all.length);
      frames.push({ at, bytes: all.subarray(at, end) });
      this.#left = at + (length as number) - end;
      at = end;
    }
    if (at < all.length) this.#hold(all.subarray(at));
    else this.#neededBytes = 0;
    return { passed: all.subarray(0, at), frames };
  }

  /** Whether a frame would start with the next byte that passes. */
  get atBorder(): boolean {
    return this.#left === 0;
  }

  /** No more comes. @returns what was held back */
  rest(): Buffer {
    const held = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  #hold(bytes: Uint8Array): void {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }
}
