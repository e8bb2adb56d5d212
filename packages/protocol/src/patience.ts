import { LANE_WAIT_MS } from "./limits.ts";

/** After this long without a request, the next one is patient again, in milliseconds. */
const QUIET_MS = 2_000;

/**
 * How long requests wait for a peer that is away, before they have gone on. The first one waits for 4 s, so that a
 * restart goes unnoticed; those that come right behind it fail at once, since kubectl sends five in a row and its user
 * is to hear within 5 s. After a quiet time the next is a first one again.
 */
export class Patience {
  #awaySinceMs: number | undefined;
  #lastAskedAtMs = 0;

  /** A request begins to wait. @returns how long it may, in milliseconds */
  begin(): number {
    const quiet = Date.now() - this.#lastAskedAtMs > QUIET_MS;
    if (this.#awaySinceMs === undefined || quiet) this.#awaySinceMs = Date.now();
    return this.left();
  }

  /** A request still waits, or gives up. @returns how much longer it may wait, in milliseconds */
  left(): number {
    this.#lastAskedAtMs = Date.now();
    return Math.max(0, (this.#awaySinceMs ?? Date.now()) + LANE_WAIT_MS - Date.now());
  }

  /** The peer was met. */
  met(): void {
    this.#awaySinceMs = undefined;
  }
}
