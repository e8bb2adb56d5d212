import { homedir } from "node:os";
import { join } from "node:path";

/** State that is worth keeping between runs, and is not configuration (XDG Base Directory). */
export function stateFolder(): string {
  return join(process.env.XDG_STATE_HOME || join(homedir(), ".local", "state"), "fairlead");
}

/** What the user says how things are to be (XDG Base Directory). */
export function configurationFolder(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), ".config"), "fairlead");
}
