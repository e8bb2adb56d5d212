import { execFileSync } from "node:child_process";

/**
 * Runs a program to its end, in the language of nowhere: sorting and messages do not depend on the machine.
 *
 * @returns its stdout
 * @throws Error with its command line if it cannot be started or fails; its stderr is ours
 */
export function run(program: string, args: readonly string[], cwd?: string): Buffer {
  const env = { ...process.env, LC_ALL: "C" };
  return execFileSync(program, args, { cwd, env, maxBuffer: 2 ** 30, stdio: ["ignore", "pipe", "inherit"] });
}
