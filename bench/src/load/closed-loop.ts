import { setTimeout as sleep } from "node:timers/promises";
import { requestBytes } from "./endpoint.ts";
import { LoadConnection } from "./load-connection.ts";
import type { ClosedLoopJob, LoadResult } from "./load-job.ts";
import { measurePhases, type PhaseListener } from "./phases.ts";
import { Tally } from "./tally.ts";

/** How long answers may still come after the load has ended, in milliseconds. What has none by then has stalled. */
const LAST_ANSWERS_MS = 5_000;

/** Runs a closed loop. @throws Error if the connections cannot be made */
export async function runClosedLoop(job: ClosedLoopJob, listener: PhaseListener): Promise<LoadResult> {
  const loop = new ClosedLoop(job);
  try {
    await loop.open();
    await measurePhases(job, loop.tally, listener);
    await loop.drain();
    return loop.tally.result();
  } finally {
    loop.close();
  }
}

class ClosedLoop {
  readonly tally = new Tally();
  readonly #job: ClosedLoopJob;
  readonly #request: Buffer;
  readonly #connections = new Set<LoadConnection>();
  #isEnding = false;
  #underway = 0;

  constructor(job: ClosedLoopJob) {
    this.#job = job;
    this.#request = requestBytes(job.endpoint, "GET", job.target);
  }

  async open(): Promise<void> {
    const slots = Array.from({ length: this.#job.connections }, () => this.#connect());
    for (const send of await Promise.all(slots)) send();
  }

  /** Waits for the last answers, so that no request of this load is underway when the next begins. */
  async drain(): Promise<void> {
    this.#isEnding = true;
    const untilMs = performance.now() + LAST_ANSWERS_MS;
    while (this.#underway > 0 && performance.now() < untilMs) await sleep(5);
    for (let i = 0; i < this.#underway; i++) this.tally.failed(`no answer ${LAST_ANSWERS_MS} ms after the load's end`);
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** @returns what sends the first request on a new connection; each answer sends the next */
  async #connect(): Promise<() => void> {
    let sentMs = 0;
    let isWaiting = false;
    const settled = (): void => {
      if (isWaiting) this.#underway -= 1;
      isWaiting = false;
    };
    const send = (): void => {
      isWaiting = true;
      this.#underway += 1;
      sentMs = performance.now();
      connection.socket.write(this.#request);
    };
    const connection = await LoadConnection.open(this.#job.endpoint, {
      onAnswer: (isGood, statusLine) => {
        settled();
        if (isGood) this.tally.answered(performance.now() - sentMs);
        else this.tally.failed(statusLine);
        if (!this.#isEnding) send();
      },
      onLost: (reason) => {
        settled();
        this.#connections.delete(connection);
        if (this.#isEnding) return;
        this.tally.failed(reason);
        this.#replace();
      },
    });
    this.#connections.add(connection);
    return send;
  }

  #replace(): void {
    this.#connect().then(
      (send) => {
        if (!this.#isEnding) send();
      },
      (error: Error) => this.tally.failed(error.message),
    );
  }
}
