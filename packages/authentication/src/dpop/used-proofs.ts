/** Most proofs that are remembered: 1,100 requests a second, for as long as they count. */
const MOST_REMEMBERED = 100_000;

/** The proofs that were used, each remembered for as long as it could be used again. */
export class UsedProofs {
  readonly #keepMs: number;
  readonly #most: number;
  /** When each may be forgotten, the oldest first. */
  readonly #until = new Map<string, number>();

  /** @param keepMs how long one could be used again. @param most most that are remembered */
  constructor(keepMs: number, most = MOST_REMEMBERED) {
    this.#keepMs = keepMs;
    this.#most = most;
  }

  /**
   * Uses a proof.
   *
   * @returns whether it was new
   * @throws Error if there is no room to remember it: it is not taken then, since it could be used twice
   */
  use(id: string): boolean {
    const now = Date.now();
    for (const [old, until] of this.#until) {
      if (until > now) break;
      this.#until.delete(old);
    }
    if (this.#until.has(id)) return false;
    if (this.#until.size >= this.#most) throw new Error("too many proofs are in use; try again in a minute");
    this.#until.set(id, now + this.#keepMs);
    return true;
  }
}
