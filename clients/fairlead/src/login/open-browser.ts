import { spawn } from "node:child_process";

/** Whether a browser would open where the user sees it. */
export function hasBrowser(): boolean {
  const { BROWSER, SSH_CONNECTION, DISPLAY, WAYLAND_DISPLAY } = process.env;
  if (BROWSER) return true;
  if (SSH_CONNECTION) return false;
  return process.platform !== "linux" || Boolean(DISPLAY || WAYLAND_DISPLAY);
}

/**
 * Opens an address in the user's browser: that of the variable BROWSER, or the system's. Our own few lines: libraries for
 * it carry scripts beside them, which a single-file executable cannot have.
 *
 * @returns whether there was something to open it with; whoever has to log in sees the address anyway
 */
export async function openBrowser(url: URL): Promise<boolean> {
  const [command, ...args] = browserCommand(url.href);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  // No shell: the address has characters that mean something to one.
  const child = spawn(command, args, { stdio: "ignore", detached: true });
  child.once("spawn", () => resolve(true)).once("error", () => resolve(false));
  child.unref();
  return promise;
}

function browserCommand(url: string): [command: string, ...args: string[]] {
  const { BROWSER } = process.env;
  if (BROWSER) return [BROWSER, url];
  if (process.platform === "darwin") return ["open", url];
  if (process.platform === "win32") return ["rundll32", "url.dll,FileProtocolHandler", url];
  return ["xdg-open", url];
}
