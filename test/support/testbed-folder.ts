import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const prefix = "fairlead-testbed-";

/** A new folder for this run alone; it carries our pid, so that a later run knows when nobody needs it any more. */
export async function createTestbedFolder(): Promise<string> {
  await removeLeftovers();
  return mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
}

/** Folders of test runs that were killed: the kernel ended their programs, but nobody removed their files. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : 0;
    if (pid > 0 && !isAlive(pid)) {
      await rm(join(tmpdir(), name), { recursive: true, force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: alive, but somebody else's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
