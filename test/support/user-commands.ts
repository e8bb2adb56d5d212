import { mkdir, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const FAIRLEAD = createRequire(import.meta.url).resolve("@fairlead/cli/main");

/**
 * Makes a folder for a PATH, with the commands `fairlead` and `kubectl` in it.
 *
 * @param kubectl the program's file
 */
export async function makeUserCommands(folder: string, kubectl: string): Promise<void> {
  await mkdir(folder);
  await writeFile(join(folder, "fairlead"), `#!/bin/sh\nexec ${process.execPath} ${FAIRLEAD} "$@"\n`, { mode: 0o755 });
  await symlink(kubectl, join(folder, "kubectl"));
}
