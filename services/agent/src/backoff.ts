/** The first wait, in milliseconds. */
const FIRST_MS = 100;
/** The longest wait, in milliseconds: after an outage of any length the next request works within 5 s. */
const LONGEST_MS = 3_000;

/** Waits between attempts: doubling, with jitter, so that a relay that comes back does not meet all agents at once. */
export class Backoff {
  #attempt = 0;

  /** The next wait, in milliseconds: between half and all of the doubled one. */
  next(): number {
    const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#attempt++);
    return ceiling * (0.5 + Math.random() / 2);
  }

  /** The attempt went well: the next wait is short again. */
  reset(): void {
    this.#attempt = 0;
  }
}
