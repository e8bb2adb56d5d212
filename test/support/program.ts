import { type ChildProcess, execFile, type SpawnOptions, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** A program that has ended has either a code or a signal, as in node:child_process. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const setpriv = "/usr/bin/setpriv";
const kernelEndsChildren = existsSync(setpriv);

/**
 * Starts a program that does not outlive this process. On Linux the kernel sees to it, even when this process is
 * killed (PR_SET_PDEATHSIG); elsewhere an exit handler does, which a SIGKILL skips.
 */
export function spawnBound(command: Command, options: SpawnOptions): ChildProcess {
  if (kernelEndsChildren) {
    return spawn(setpriv, ["--pdeathsig", "KILL", "--", command.file, ...command.args], options);
  }
  const child = spawn(command.file, command.args, options);
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  return child;
}

/** Resolves when the program has ended and its pipes are closed; rejects when it could not be started. */
export function exitOf(child: ChildProcess): Promise<Exit> {
  const { promise, resolve, reject } = Promise.withResolvers<Exit>();
  child.once("error", reject);
  child.once("close", (code, signal) => resolve({ code, signal }));
  return promise;
}

/**
 * Runs a program to its end.
 *
 * @returns what it has written to stdout
 * @throws Error with its command line and stderr if it cannot be started or fails
 */
export async function runProgram({ file, args }: Command, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, { env, maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}
