import { AskedProcess } from "../asked-process.ts";

/** Where a line leads: a port of loopback, or a Unix socket. */
export type WanTarget = { readonly host: "127.0.0.1"; readonly port: number } | { readonly path: string };

/** What the process is asked: for a line, or to set the round trip. */
export type WanQuestion = { readonly target: WanTarget; readonly share: number } | { readonly roundTripMs: number };

/** A process of our own that delays TCP connections. */
export class Wan {
  readonly #process: AskedProcess<WanQuestion, number>;

  private constructor(process: AskedProcess<WanQuestion, number>) {
    this.#process = process;
  }

  static async start(): Promise<Wan> {
    return new Wan(await AskedProcess.start(new URL("wan-process.js", import.meta.url)));
  }

  get pid(): number {
    return this.#process.pid;
  }

  /**
   * Opens a line.
   *
   * @param share of the round trip that it has: 1 for a path of one link, 0.5 for each of two
   * @returns the port of loopback that leads to the target
   */
  open(target: WanTarget, share: number): Promise<number> {
    return this.#process.ask({ target, share });
  }

  /** Sets the whole round trip of each path, in milliseconds; 0 at first. It is so for what comes from now on. */
  async setRoundTrip(roundTripMs: number): Promise<void> {
    await this.#process.ask({ roundTripMs });
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}
