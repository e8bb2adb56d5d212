import { join, resolve } from "node:path";
import { runProgram } from "./program.ts";
import { buildPart } from "./testbed-programs.ts";

const SOURCES = resolve(import.meta.dirname, "../../examples/go");

/** The programs of examples/go. */
export interface GoExamples {
  client: string;
  inventory: string;
}

/**
 * Builds them if the cache has none of these sources yet, which takes a minute.
 *
 * @returns undefined on a machine without Go, which is said loudly
 */
export async function findGoExamples(): Promise<GoExamples | undefined> {
  const hasGo = await runProgram({ file: "go", args: ["version"] }).then(
    () => true,
    () => false,
  );
  if (!hasGo) {
    process.stderr.write("\n*** examples/go: there is no Go, NOTHING of the programs in Go is run ***\n");
    return undefined;
  }
  const folder = await buildPart("examples");
  return { client: join(folder, "client"), inventory: join(folder, "inventory") };
}

/** A file of a Go module that the examples need, in Go's own cache of modules. */
export async function fileOfModule(module: string, file: string): Promise<string> {
  const folder = await runProgram({ file: "go", args: ["-C", SOURCES, "list", "-m", "-f", "{{.Dir}}", module] });
  return join(folder.trim(), file);
}
