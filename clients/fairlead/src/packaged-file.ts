import { readFile } from "node:fs/promises";
import { getAsset, isSea } from "node:sea";

/**
 * Reads a file that comes with the program: beside it in its package, or inside it in a single-file executable.
 *
 * @param path from the package's folder
 */
export async function packagedFile(path: string): Promise<string> {
  return isSea() ? getAsset(path, "utf8") : readFile(new URL(`../${path}`, import.meta.url), "utf8");
}
