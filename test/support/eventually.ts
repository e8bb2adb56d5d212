import { setTimeout as delay } from "node:timers/promises";

const pollIntervalMs = 25;

export interface Patience {
  /** What is awaited, for the message when it does not come. */
  readonly what: string;
  readonly timeoutMs?: number;
}

/** Asks again and again until the answer is neither undefined nor false, and returns it. */
export async function eventually<T>(
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  { what, timeoutMs = 45_000 }: Patience,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    }
    await delay(pollIntervalMs);
  }
}
