/** Those who are told to come back are spread over no more than this, in milliseconds. */
const MAX_SPREAD_MS = 10_000;

/** How fast a bucket fills, and how much it holds. */
export interface BucketSize {
  perSecond: number;
  burst: number;
}

/**
 * A token bucket, full at first, that tells whom it refuses when to come back. It tells each of them another time, so
 * that those who keep to it come through at the bucket's rate: told the same second, all but a few would be refused
 * again, and client-go gives up after ten times.
 */
export class TokenBucket {
  readonly #size: BucketSize;
  #tokens: number;
  #filledAtMs: number;
  /** When the one who was refused last was told to come. */
  #lastToldMs = Number.NEGATIVE_INFINITY;

  constructor(size: BucketSize, nowMs: number) {
    this.#size = size;
    this.#tokens = size.burst;
    this.#filledAtMs = nowMs;
  }

  /** Takes a token. @returns 0, or if there was none after how many milliseconds to come back */
  take(nowMs: number): number {
    this.#fill(nowMs);
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    const tokenMs = 1_000 / this.#size.perSecond;
    const nextMs = nowMs + (1 - this.#tokens) * tokenMs;
    const toldMs = Math.max(nextMs, Math.min(this.#lastToldMs + tokenMs, nowMs + MAX_SPREAD_MS));
    this.#lastToldMs = toldMs;
    return toldMs - nowMs;
  }

  /** Whether nothing is lost when a new bucket takes the place of this one. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#tokens === this.#size.burst;
  }

  #fill(nowMs: number): void {
    const { perSecond, burst } = this.#size;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1_000) * perSecond);
    this.#filledAtMs = nowMs;
  }
}
