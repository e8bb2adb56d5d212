import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Ends a forked process, which ends when its channel to us does. It may have ended: Ctrl-C reaches it too. */
export async function endFork(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  if (child.connected) child.disconnect();
  await exit;
}
