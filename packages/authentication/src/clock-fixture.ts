import { jest } from "@jest/globals";

/**
 * Lets only the clock jump: timers and sockets go on. `jest.useRealTimers()` sets it right again.
 *
 * @param aheadMs how far, from what it says now
 */
export function setClock(aheadMs: number): void {
  const now = Date.now() + aheadMs;
  jest.useRealTimers();
  jest.useFakeTimers({
    now,
    doNotFake: [
      "hrtime",
      "nextTick",
      "performance",
      "queueMicrotask",
      "setImmediate",
      "clearImmediate",
      "setInterval",
      "clearInterval",
      "setTimeout",
      "clearTimeout",
    ],
  });
}
