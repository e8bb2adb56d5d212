import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { requestBytes } from "./endpoint.ts";
import { LoadConnection } from "./load-connection.ts";
import type { LoadResult, OpenLoopJob } from "./load-job.ts";
import type { PhaseListener } from "./phases.ts";
import { Tally } from "./tally.ts";

/** Timers are up to a millisecond late: the last stretch before a request is due, in milliseconds, is waited for by turns. */
const TURNS_MS = 2;
/** How long the last answers may take, in milliseconds. */
const LAST_ANSWERS_MS = 10_000;

/**
 * Sends GETs at a fixed rate. A GET that is due while all connections wait for answers opens another one, and its
 * latency counts from when it was due: a path that stalls does not slow its own measurement down.
 *
 * @throws Error if no connection can be made
 */
export async function runOpenLoop(job: OpenLoopJob, listener: PhaseListener): Promise<LoadResult> {
  const loop = new OpenLoop(job);
  const periodMs = 1_000 / job.perSecond;
  try {
    await loop.warmUp();
    await sleep(job.warmUpMs);
    listener.onMeasuring();
    loop.tally.begin();
    const beganMs = performance.now();
    for (let dueMs = beganMs; dueMs < beganMs + job.measureMs; dueMs += periodMs) {
      await until(dueMs);
      loop.send(dueMs);
    }
    await loop.drain();
    loop.tally.end();
    listener.onMeasured();
    return loop.tally.result(true);
  } finally {
    loop.close();
  }
}

async function until(dueMs: number): Promise<void> {
  const aheadMs = dueMs - performance.now() - TURNS_MS;
  if (aheadMs > 0) await sleep(aheadMs);
  while (performance.now() < dueMs) await nextTurn();
}

class OpenLoop {
  readonly tally = new Tally();
  readonly #job: OpenLoopJob;
  readonly #request: Buffer;
  readonly #idle: ((dueMs: number) => void)[] = [];
  readonly #connections = new Set<LoadConnection>();
  #underway = 0;

  constructor(job: OpenLoopJob) {
    this.#job = job;
    this.#request = requestBytes(job.endpoint, "GET", job.target);
  }

  /** The first connection, and a GET on it. */
  async warmUp(): Promise<void> {
    await this.#connect(performance.now());
    await this.drain();
  }

  send(dueMs: number): void {
    const idle = this.#idle.pop();
    if (idle) idle(dueMs);
    else this.#connect(dueMs).catch((error: Error) => this.tally.failed(error.message));
  }

  async drain(): Promise<void> {
    const untilMs = performance.now() + LAST_ANSWERS_MS;
    while (this.#underway > 0 && performance.now() < untilMs) await sleep(1);
    for (let i = 0; i < this.#underway; i++) this.tally.failed(`no answer within ${LAST_ANSWERS_MS} ms`);
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  async #connect(dueMs: number): Promise<void> {
    let sinceMs = dueMs;
    this.#underway += 1;
    const send = (nextDueMs: number): void => {
      sinceMs = nextDueMs;
      this.#underway += 1;
      connection.socket.write(this.#request);
    };
    const connection = await LoadConnection.open(this.#job.endpoint, {
      onAnswer: (isGood, statusLine) => {
        this.#underway -= 1;
        if (isGood) this.tally.answered(performance.now() - sinceMs);
        else this.tally.failed(statusLine);
        this.#idle.push(send);
      },
      onLost: (reason) => {
        this.#connections.delete(connection);
        const at = this.#idle.indexOf(send);
        if (at >= 0) {
          this.#idle.splice(at, 1);
          return;
        }
        this.#underway -= 1;
        this.tally.failed(reason);
      },
    }).catch((error: Error) => {
      this.#underway -= 1;
      throw error;
    });
    this.#connections.add(connection);
    connection.socket.write(this.#request);
  }
}
