import { randomInt } from "node:crypto";
import { Bell } from "./bell.ts";
import { containerNames } from "./pods.ts";
import { pods } from "./resource-types.ts";
import type { Store } from "./store.ts";

/** Lines kept per container; a reader that falls further behind skips what was dropped. */
const maxLines = 1000;

/** One line of a simulated container. */
export interface LogLine {
  timeMs: number;
  text: string;
}

/** The last lines of one container, addressed by a number that only grows. */
export class LogRing {
  readonly #lines: LogLine[] = [];
  #dropped = 0;
  /** Set when the pod is gone: followers end after the last line. */
  closed = false;

  get end(): number {
    return this.#dropped + this.#lines.length;
  }

  append(line: LogLine): void {
    this.#lines.push(line);
    if (this.#lines.length <= maxLines) return;
    this.#lines.shift();
    this.#dropped += 1;
  }

  /** The line at a position, or the oldest kept one after it; undefined at the end. */
  lineFrom(position: number): { line: LogLine; next: number } | undefined {
    const index = Math.max(0, position - this.#dropped);
    const line = this.#lines[index];
    return line && { line, next: this.#dropped + index + 1 };
  }
}

/** Writes a line a second for every container of the cluster. */
export class LogBook {
  /** Rings after every round of lines. */
  readonly written = new Bell();
  readonly #rings = new Map<string, LogRing>();
  readonly #store: Store;
  readonly #timer: NodeJS.Timeout;

  constructor(store: Store) {
    this.#store = store;
    this.#timer = setInterval(() => this.#writeRound(), 1000);
    this.#timer.unref();
  }

  /** Stops writing. */
  close(): void {
    clearInterval(this.#timer);
  }

  /** The lines of a container, from its first ("listening") on. */
  ring(podUid: string, container: string): LogRing {
    const key = `${podUid}/${container}`;
    const known = this.#rings.get(key);
    if (known) return known;
    const ring = new LogRing();
    const timeMs = Date.now();
    ring.append({
      timeMs,
      text: `${new Date(timeMs).toISOString()} demo ${container}: listening on port 8080 (simulated)`,
    });
    this.#rings.set(key, ring);
    return ring;
  }

  #writeRound(): void {
    const alive = new Set<string>();
    for (const pod of this.#store.list(pods)) {
      for (const container of containerNames(pod)) {
        const ring = this.ring(pod.metadata.uid, container);
        alive.add(`${pod.metadata.uid}/${container}`);
        const timeMs = Date.now();
        const request = `request ${ring.end} served in ${randomInt(1, 12)} ms`;
        ring.append({ timeMs, text: `${new Date(timeMs).toISOString()} demo ${container}: ${request}` });
      }
    }
    for (const [key, ring] of this.#rings) {
      if (alive.has(key)) continue;
      ring.closed = true;
      this.#rings.delete(key);
    }
    this.written.ring();
  }
}
