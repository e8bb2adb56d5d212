import { isSea } from "node:sea";

/** How this program is called again, with the same flags of node's. In a single-file executable there is no script. */
export function ownCommand(args: readonly string[]): [command: string, ...args: string[]] {
  const [, script = ""] = process.argv;
  return [process.execPath, ...process.execArgv, ...(isSea() ? [] : [script]), ...args];
}
