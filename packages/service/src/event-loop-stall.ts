import { monitorEventLoopDelay } from "node:perf_hooks";

/** How often the event loop is looked at, in milliseconds: a stall that is shorter may be missed. */
const SAMPLE_INTERVAL_MS = 20;
const NS_PER_MS = 1e6;

/** Watches for how long the event loop stands still. It keeps no process alive. */
export class EventLoopStall {
  readonly #delays = monitorEventLoopDelay({ resolution: SAMPLE_INTERVAL_MS });

  constructor() {
    this.#delays.enable();
  }

  /**
   * The longest stall since this was last asked, or since the start, in milliseconds; 0 if there was none. One that
   * begins within the first sample after that is missed: node measures from a sample on.
   */
  takeLongestMs(): number {
    // node records the time from one sample to the next, so the interval is part of it.
    const longestMs = this.#delays.max / NS_PER_MS - SAMPLE_INTERVAL_MS;
    this.#delays.reset();
    return Math.max(0, longestMs);
  }
}
