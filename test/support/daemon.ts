import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Command, type Exit, exitOf, spawnBound } from "./program.ts";

/** A server program of the test bed, with its output in a log file. */
export class Daemon {
  private readonly command: Command;
  private readonly logFile: string;
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private ended: Exit | Error | undefined;

  /**
   * @param dir where it runs, and where its log goes
   * @param env this process's own if it is left out
   */
  constructor(command: Command, dir: string, env: NodeJS.ProcessEnv = process.env) {
    this.command = command;
    this.logFile = join(dir, `${basename(command.file)}.log`);
    const log = openSync(this.logFile, "a");
    this.child = spawnBound(command, { cwd: dir, env, stdio: ["ignore", log, log] });
    closeSync(log);
    this.exited = exitOf(this.child).then(
      (exit) => {
        this.ended = exit;
      },
      (error: Error) => {
        this.ended = error;
      },
    );
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get output(): string {
    return readFileSync(this.logFile, "utf8");
  }

  /** Fails, with the end of the log, when the program has died by itself. */
  checkAlive(): void {
    if (this.ended) {
      const end = this.ended instanceof Error ? this.ended.message : JSON.stringify(this.ended);
      throw new Error(`${this.command.file} died (${end}):\n${this.output.slice(-3_000)}`);
    }
  }

  /** By SIGKILL: the apiserver lingers for a minute on SIGTERM, and nothing here is worth keeping. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }
}
