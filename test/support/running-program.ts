import type { ChildProcess, SpawnOptions } from "node:child_process";
import type { Readable } from "node:stream";
import { eventually } from "./eventually.ts";
import { type Command, type Exit, exitOf, spawnBound } from "./program.ts";

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Leaves stdout to the caller, who reads it from `rawStdout`: for slow readers. */
  readonly keepStdout?: boolean;
}

/** A program in the background, with its output so far. */
export class RunningProgram {
  readonly exited: Promise<Exit>;
  private readonly command: Command;
  private readonly child: ChildProcess;
  private readonly chunks: Record<"stdout" | "stderr", string[]> = { stdout: [], stderr: [] };
  private exit: Exit | undefined;

  constructor(command: Command, options: StartOptions = {}) {
    this.command = command;
    const spawnOptions: SpawnOptions = { stdio: "pipe" };
    if (options.env) {
      spawnOptions.env = options.env;
    }
    if (options.cwd) {
      spawnOptions.cwd = options.cwd;
    }
    this.child = spawnBound(command, spawnOptions);
    this.exited = exitOf(this.child).then((exit) => {
      this.exit = exit;
      return exit;
    });
    // Whoever awaits `exited` sees the failure; a program that nobody awaits must not bring the test run down.
    this.exited.catch(() => {});
    // A program may end before it has read all its input; that shows in its exit code.
    this.child.stdin?.on("error", () => {});
    this.collect(this.child.stderr, this.chunks.stderr);
    if (!options.keepStdout) {
      this.collect(this.child.stdout, this.chunks.stdout);
    }
  }

  get stdout(): string {
    return this.chunks.stdout.join("");
  }

  get stderr(): string {
    return this.chunks.stderr.join("");
  }

  get hasExited(): boolean {
    return this.exit !== undefined;
  }

  get rawStdout(): Readable {
    if (!this.child.stdout) {
      throw new Error("this program has no stdout");
    }
    return this.child.stdout;
  }

  write(input: string | Buffer): void {
    this.child.stdin?.write(input);
  }

  endInput(input?: string | Buffer): void {
    this.child.stdin?.end(input);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Kills the program if it still runs, and waits for its end. */
  async stop(): Promise<void> {
    this.child.kill("SIGKILL");
    // Not `exited`: a grandchild that holds the pipes open must not hold up the test.
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
    await this.exited;
  }

  /** Waits until stdout and stderr together match, and returns the match. */
  waitForOutput(pattern: RegExp, timeoutMs = 45_000): Promise<RegExpMatchArray> {
    const look = (): RegExpMatchArray | undefined => {
      const match = (this.stdout + this.stderr).match(pattern);
      if (!match && this.exit) {
        throw new Error(`${this.describe()} ended (${JSON.stringify(this.exit)}) without ${pattern}`);
      }
      return match ?? undefined;
    };
    return eventually(look, { what: `${pattern} from ${this.command.file}`, timeoutMs }).catch((error: Error) => {
      throw new Error(`${error.message}; ${this.describe()}`);
    });
  }

  private describe(): string {
    const tail = (text: string): string => text.slice(-2_000);
    const line = [this.command.file, ...this.command.args].join(" ");
    return `${line}\nstdout: ${tail(this.stdout)}\nstderr: ${tail(this.stderr)}`;
  }

  private collect(stream: Readable | null, chunks: string[]): void {
    stream?.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
  }
}
