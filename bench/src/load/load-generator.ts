import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { endFork } from "../end-fork.ts";
import type { LoadJob, LoadMessage, LoadResult } from "./load-job.ts";

/** Told when the generator begins and ends to measure. */
export interface LoadListener {
  onMeasuring?(): void;
  onMeasured?(): void;
}

/** How much longer than it is to run a job may take, in milliseconds. */
const OVERTIME_MS = 40_000;

/** A process that makes load. */
export class LoadGenerator {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(): Promise<LoadGenerator> {
    const child = fork(fileURLToPath(new URL("load-process.js", import.meta.url)), { execArgv: [] });
    await once(child, "message");
    return new LoadGenerator(child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Does a job; only one at a time. @throws Error if no load could be made at all */
  async run(job: LoadJob, listener: LoadListener = {}): Promise<LoadResult> {
    const { promise, resolve, reject } = Promise.withResolvers<LoadResult>();
    const onMessage = (message: LoadMessage): void => {
      if (message.tell === "measuring") listener.onMeasuring?.();
      if (message.tell === "measured") listener.onMeasured?.();
      if (message.tell === "result") resolve(message.result);
      if (message.tell === "error") reject(new Error(`the load failed: ${message.sentence}`));
    };
    const onExit = (): void => reject(new Error("the load generator ended"));
    const late = (): void => reject(new Error("the load did not end in time"));
    const timer = setTimeout(late, job.warmUpMs + job.measureMs + OVERTIME_MS);
    this.#child.on("message", onMessage).on("exit", onExit);
    this.#child.send(job);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#child.off("message", onMessage).off("exit", onExit);
    }
  }

  stop(): Promise<void> {
    return endFork(this.#child);
  }
}
