import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { endFork } from "../end-fork.ts";

/** Where a line leads: a port of loopback, or a Unix socket. */
export type WanTarget = { readonly host: "127.0.0.1"; readonly port: number } | { readonly path: string };

/** What the process is told. */
export type WanCommand =
  | { readonly tell: "open"; readonly id: number; readonly target: WanTarget; readonly share: number }
  | { readonly tell: "round trip"; readonly ms: number };

/** A process of our own that delays TCP connections. */
export class Wan {
  readonly #child: ChildProcess;
  #lastId = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(): Promise<Wan> {
    const child = fork(fileURLToPath(new URL("wan-process.js", import.meta.url)), { execArgv: [] });
    await once(child, "message");
    return new Wan(child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /**
   * Opens a line.
   *
   * @param share of the round trip that it has: 1 for a path of one link, 0.5 for each of two
   * @returns the port of loopback that leads to the target
   */
  async open(target: WanTarget, share: number): Promise<number> {
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<number>();
    const onMessage = (answer: { id: number; port: number }): void => {
      if (answer.id === id) resolve(answer.port);
    };
    this.#child.on("message", onMessage);
    this.#child.send({ tell: "open", id, target, share } satisfies WanCommand);
    return promise.finally(() => this.#child.off("message", onMessage));
  }

  /** Sets the whole round trip of each path, in milliseconds; 0 at first. It is so for what comes from now on. */
  setRoundTrip(ms: number): void {
    this.#child.send({ tell: "round trip", ms } satisfies WanCommand);
  }

  stop(): Promise<void> {
    return endFork(this.#child);
  }
}
