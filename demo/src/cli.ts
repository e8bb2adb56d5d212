import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { promisify } from "node:util";

const run = promisify(execFile);
const MAIN = createRequire(import.meta.url).resolve("@fairlead/cli/main");

/** Runs the `fairlead` command. @returns its standard output. @throws Error with its standard error if it fails */
export async function runCli(args: readonly string[], env: Record<string, string>): Promise<string> {
  try {
    const { stdout } = await run(process.execPath, [MAIN, ...args], {
      env: { ...process.env, ...env },
      timeout: 20_000,
    });
    return stdout;
  } catch (error) {
    const { stderr } = Object(error);
    throw new Error(`fairlead ${args[0]}: ${typeof stderr === "string" && stderr !== "" ? stderr.trim() : error}`, {
      cause: error,
    });
  }
}
