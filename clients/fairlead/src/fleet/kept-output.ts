import { Writable } from "node:stream";

/** Of each of a program's outputs, how much is kept, in bytes. */
export const MAX_KEPT_BYTES = 1024 * 1024;

/** Keeps the beginning of what a program writes, and lets the rest go. */
export class KeptOutput extends Writable {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  isCut = false;

  get text(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const room = MAX_KEPT_BYTES - this.#bytes;
    if (chunk.length > room) this.isCut = true;
    if (room > 0) this.#chunks.push(chunk.subarray(0, room));
    this.#bytes += Math.min(chunk.length, room);
    done();
  }
}
