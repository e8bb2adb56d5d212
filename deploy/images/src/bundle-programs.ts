import { globSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
/** What a program is made of and by: the workspaces as they were built, the packages of npm, and this one. */
const INPUTS = ["{packages,services,clients}/*/dist/**/*.js", "package-lock.json", "deploy/images/dist/bundle*.js"];
const PROGRAMS = ["services/relay", "services/agent", "services/identity-proxy", "clients/fairlead"];
/** What has native code stays outside. */
const NATIVE: Record<string, string[]> = { "clients/fairlead": ["@napi-rs/keyring"] };

/**
 * Makes few files of each program's many, `bundle/main.js` in its package and what that loads when it is needed, if anything
 * has changed since: finding and reading hundreds of files is most of what a command's start takes.
 */
export async function bundlePrograms(): Promise<void> {
  const newest = Math.max(...globSync(INPUTS, { cwd: ROOT }).map((file) => statSync(join(ROOT, file)).mtimeMs));
  const making = PROGRAMS.map(async (program) => {
    const folder = join(ROOT, program, "bundle");
    const main = join(folder, "main.js");
    if ((statSync(main, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) return;
    rmSync(folder, { recursive: true, force: true });
    const external = NATIVE[program];
    await bundle(ROOT, `${program}/dist/main.js`, main, { splitting: true, ...(external && { external }) });
  });
  await Promise.all(making);
}
