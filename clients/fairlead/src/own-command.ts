import { isSea } from "node:sea";

/** How this program is called again, with the same flags of node's. A single-file executable has script and flags in it. */
export function ownCommand(args: readonly string[]): [command: string, ...args: string[]] {
  const [, script = ""] = process.argv;
  return [process.execPath, ...(isSea() ? [] : [...process.execArgv, script]), ...args];
}
