import type { Socket } from "node:net";

/**
 * Most that waits on one direction of one connection, in bytes: at 50 ms one way it lets 1.3 GB/s through, more than
 * two cores can encrypt, so that the line is never the window that holds a transfer back.
 */
export const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
/** Timers are up to a millisecond late: what is small is waited for by turns for as long, in milliseconds. */
const TURNS_MS = 2;
/** What counts as small, in bytes: bulk does not mind a millisecond, and must not pay for the turns. */
const SMALL_BYTES = 64 * 1024;

/** What waits: bytes, or the end of the direction. */
interface Waiting {
  readonly bytes: Buffer | "end";
  readonly dueMs: number;
}

/** One direction of a connection: what comes from one socket goes to the other, in order, each a while later. */
export class DelayLine {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delayMs: () => number;
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #isArmed = false;
  #isBlocked = false;

  /** @param delayMs asked for each piece that comes, in milliseconds; where it shrinks, order is kept all the same */
  constructor(from: Socket, to: Socket, delayMs: () => number) {
    this.#from = from;
    this.#to = to;
    this.#delayMs = delayMs;
    from.on("data", (bytes: Buffer) => this.#take(bytes));
    from.on("end", () => this.#take("end"));
    from.on("error", () => to.resetAndDestroy()).on("close", () => this.#fromIsGone());
    to.on("drain", () => {
      this.#isBlocked = false;
      this.#arm();
    });
    to.on("close", () => {
      if (to.writableFinished) return; // in good order: the other direction may still be on its way
      this.#queue.length = 0;
      from.resetAndDestroy();
    });
  }

  #take(bytes: Buffer | "end"): void {
    this.#queue.push({ bytes, dueMs: performance.now() + this.#delayMs() });
    this.#queuedBytes += bytes === "end" ? 0 : bytes.length;
    if (this.#queuedBytes >= MAX_QUEUED_BYTES) this.#from.pause();
    this.#arm();
  }

  /** What is on its way still arrives; without an end in order, the other side is cut then. */
  #fromIsGone(): void {
    if (this.#queue.length === 0 && !this.#to.writableEnded) this.#to.resetAndDestroy();
  }

  #arm(): void {
    const [first] = this.#queue;
    if (this.#isArmed || this.#isBlocked || first === undefined) return;
    this.#isArmed = true;
    const run = (): void => {
      this.#isArmed = false;
      this.#flush();
    };
    const aheadMs = first.dueMs - performance.now();
    if (aheadMs > TURNS_MS) setTimeout(run, aheadMs - TURNS_MS);
    else if (aheadMs > 0 && this.#queuedBytes > SMALL_BYTES) setTimeout(run, 1);
    else setImmediate(run);
  }

  #flush(): void {
    const nowMs = performance.now();
    this.#to.cork();
    for (let first = this.#queue[0]; first && first.dueMs <= nowMs && !this.#isBlocked; first = this.#queue[0]) {
      this.#queue.shift();
      this.#send(first.bytes);
    }
    this.#to.uncork();
    if (this.#from.isPaused() && this.#queuedBytes < MAX_QUEUED_BYTES / 2) this.#from.resume();
    if (this.#from.destroyed) this.#fromIsGone();
    this.#arm();
  }

  #send(bytes: Buffer | "end"): void {
    if (bytes === "end") return void this.#to.end();
    this.#queuedBytes -= bytes.length;
    this.#isBlocked = !this.#to.write(bytes);
  }
}
