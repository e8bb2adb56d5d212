import type { SpawnOptions } from "node:child_process";
import { createInterface } from "node:readline";
import { eventually } from "@fairlead/test/support/eventually";
import { exitOf, spawnBound } from "@fairlead/test/support/program";
import { findTestbedPrograms } from "@fairlead/test/support/testbed-programs";

/** A kubectl that listens on 127.0.0.1. */
export interface ListeningKubectl {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/**
 * Starts the real kubectl with a command that listens, and waits until it says where.
 *
 * @param says what its line looks like, with the port as the first group
 * @throws Error if it does not listen
 */
export async function startListeningKubectl(
  args: string[],
  options: Pick<SpawnOptions, "cwd" | "env">,
  says: RegExp,
): Promise<ListeningKubectl> {
  const { kubectl } = await findTestbedPrograms();
  const child = spawnBound({ file: kubectl, args }, { ...options, stdio: ["ignore", "pipe", "ignore"] });
  const exited = exitOf(child);
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited.catch(() => undefined);
  };
  let port = 0;
  if (child.stdout) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      port = Number(says.exec(line)?.[1] ?? port);
    });
  }
  try {
    await eventually(() => port > 0, { what: `the port of kubectl ${args[0]}` });
    return { port, pid: child.pid ?? 0, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
