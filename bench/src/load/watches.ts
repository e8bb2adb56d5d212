import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, requestBytes } from "./endpoint.ts";
import { LoadConnection } from "./load-connection.ts";

/** How long the first event of a watch may take, in milliseconds. */
const FIRST_EVENT_MS = 10_000;

/** A watch on a connection of its own. */
export interface OpenWatch {
  /** Breaks the connection off, as a client does that is ended. */
  cancel(): void;
}

/** Opens a watch and waits for its first event. @throws Error if it is refused, or lost, or nothing comes within 10 s */
export async function openWatch(endpoint: Endpoint, target: string): Promise<OpenWatch> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const connection = await LoadConnection.open(endpoint, {
    onBody: () => resolve(),
    onAnswer: (_isGood, head) => reject(new Error(`the watch is over: ${head.split("\r\n", 1)[0]}`)),
    onLost: (reason) => reject(new Error(reason)),
  });
  const late = setTimeout(() => reject(new Error("no event in time")), FIRST_EVENT_MS);
  connection.socket.write(requestBytes(endpoint, "GET", target));
  try {
    await promise;
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    clearTimeout(late);
  }
  return { cancel: () => connection.close() };
}

/** Begins watches at a fixed rate and cancels each a while after its first event. */
export class WatchChurn {
  cancelled = 0;
  failures = 0;
  firstFailure: string | undefined;
  readonly #endpoint: Endpoint;
  readonly #target: string;
  readonly #holdMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #underway = new Set<Promise<void>>();

  /** @param holdMs how long each is held, in milliseconds */
  constructor(endpoint: Endpoint, target: string, perMinute: number, holdMs: number) {
    this.#endpoint = endpoint;
    this.#target = target;
    this.#holdMs = holdMs;
    this.#timer = setInterval(() => this.#begin(), 60_000 / perMinute);
  }

  /** Begins no more, and waits until all are cancelled. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underway);
  }

  #begin(): void {
    const one = this.#openAndCancel().catch((error: Error) => {
      this.failures += 1;
      this.firstFailure ??= `a watch: ${error.message}`;
    });
    this.#underway.add(one);
    void one.then(() => this.#underway.delete(one));
  }

  async #openAndCancel(): Promise<void> {
    const watch = await openWatch(this.#endpoint, this.#target);
    await sleep(this.#holdMs);
    watch.cancel();
    this.cancelled += 1;
  }
}
