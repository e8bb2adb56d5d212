import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundlePrograms } from "@fairlead/images/bundle-programs";

/** jest's globalSetup of the project `unit`; jest takes nothing but a default export. */
export default async function setup(): Promise<void> {
  await bundlePrograms();
  // Hundreds of processes are started, which would all compile the same files.
  process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "fairlead-compile-cache");
}
