/**
 * Wakes every waiting stream. Streams keep their own cursor into a bounded history and only need to hear
 * "there is more", so nothing is queued per stream.
 */
export class Bell {
  readonly #waiting = new Set<() => void>();

  /** Wakes all that wait now; a later wait needs a later ring. */
  ring(): void {
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of woken) wake();
  }

  /**
   * Resolves at the next ring, when the signal aborts, or after `timeoutMs`, whichever is first.
   * Never rejects: the caller looks at its cursor and at the signal again.
   */
  wait(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => wake(), timeoutMs);
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
