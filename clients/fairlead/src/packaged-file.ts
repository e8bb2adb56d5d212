import { readFile } from "node:fs/promises";
import { getAsset, isSea } from "node:sea";
import { fileURLToPath } from "node:url";

/**
 * Reads a file that comes with the program: beside it in its package, or inside it in a single-file executable.
 *
 * @param path from the package's folder
 */
export async function packagedFile(path: string): Promise<string> {
  return isSea() ? getAsset(path, "utf8") : readFile(packagedPath(path), "utf8");
}

/**
 * Where something is that comes with the program; nowhere in a single-file executable.
 *
 * @param path from the package's folder, in which the program is one folder down
 */
export function packagedPath(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url));
}
