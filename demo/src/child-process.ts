import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { NODE_FLAGS } from "@fairlead/service";

/** How long a process may take to be ready, in milliseconds. */
const READY_MS = 30_000;
/** How long a process may take to end after SIGTERM before it is killed, in milliseconds. */
const END_MS = 4_000;

/** How to start a process that says on standard output, as a line of JSON, that it is ready. */
export interface ProcessOptions {
  /** What people call it. */
  name: string;
  /** The program's file, run by this node. */
  main: string;
  /** Its arguments, asked for at each start. */
  args(): readonly string[];
  /** Its environment beside this process's own, likewise. */
  env?(): Record<string, string>;
  /** Where its log (standard error) goes, appended. */
  logFile: string;
}

/** A process of the tunnel. It can be ended and started again with the same arguments. */
export class TunnelProcess {
  readonly #options: ProcessOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ProcessOptions) {
    this.#options = options;
  }

  /** Its pid; undefined if it does not run. */
  get pid(): number | undefined {
    return this.#child?.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  /** Starts it. @returns what it says when it is ready. @throws Error with the end of its log if it ends before */
  async start(): Promise<Record<string, unknown>> {
    const { name, main, logFile } = this.#options;
    const log = openSync(logFile, "a", 0o600);
    const environment = { ...process.env, ...this.#options.env?.() };
    const child = spawn(process.execPath, [...NODE_FLAGS, main, ...this.#options.args()], {
      // The pipe on its standard input ends with this process, however that ends; then it ends too.
      stdio: ["pipe", "pipe", log],
      env: { ...environment, FAIRLEAD_EXIT_WITH_STDIN: "1" },
    });
    closeSync(log);
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("exit", () => resolve()));
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
    const timer = setTimeout(() => reject(new Error(`${name} was not ready in time`)), READY_MS);
    if (child.stdout) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const said = JSON.parse(line);
        if (said.ready === true) resolve(said); // what fails says so in JSON too, and ends
      });
    }
    void this.#ended.then(() => reject(new Error(`${name} ended: ${lastLine(logFile)}`)));
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends a signal and waits for the end. Without an answer to SIGTERM it is killed. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.pid === undefined) return;
    this.#child?.kill(signal);
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), END_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

function lastLine(file: string): string {
  return readFileSync(file, "utf8").trim().split("\n").at(-1) ?? "";
}
