import type { Socket } from "node:net";

/** Most that one direction holds, in bytes: a second of a fast link, so that the line itself is no window. */
const MAX_HELD_BYTES = 128 * 1024 * 1024;

/** Passes on what comes from one socket to another after a delay, in order; the end too. */
export class DelayLine {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delayMs: number;
  /** What is on its way; `undefined` is the end. */
  #waiting: { atMs: number; bytes: Buffer | undefined }[] = [];
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param delayMs how long each byte takes, in milliseconds */
  constructor(from: Socket, to: Socket, delayMs: number) {
    this.#from = from;
    this.#to = to;
    this.#delayMs = delayMs;
    from.on("data", (bytes: Buffer) => this.#take(bytes));
    from.on("end", () => this.#take(undefined));
    from.on("close", () => setTimeout(() => to.destroy(), delayMs));
    from.on("error", () => {}); // "close" follows
    to.on("drain", () => this.#readAgain());
  }

  #take(bytes: Buffer | undefined): void {
    this.#waiting.push({ atMs: performance.now() + this.#delayMs, bytes });
    this.#heldBytes += bytes?.length ?? 0;
    if (this.#full) this.#from.pause();
    this.#timer ??= setTimeout(() => this.#pass(), this.#delayMs);
  }

  #pass(): void {
    const now = performance.now();
    let passed = 0;
    for (const { atMs, bytes } of this.#waiting) {
      if (atMs > now) break;
      passed++;
      this.#heldBytes -= bytes?.length ?? 0;
      if (bytes) this.#to.write(bytes);
      else this.#to.end();
    }
    this.#waiting = this.#waiting.slice(passed);
    const [next] = this.#waiting;
    this.#timer = next && setTimeout(() => this.#pass(), Math.max(0, next.atMs - now));
    this.#readAgain();
  }

  #readAgain(): void {
    if (this.#from.isPaused() && !this.#full) this.#from.resume();
  }

  get #full(): boolean {
    return this.#heldBytes + this.#to.writableLength > MAX_HELD_BYTES;
  }
}
