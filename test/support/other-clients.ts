import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import type { Command } from "./program.ts";

/** A program in another language on its Kubernetes library; `test/conformance/clients` says what it takes. */
export interface OtherClient {
  readonly name: string;
  readonly command: Command;
}

const script = resolve(import.meta.dirname, "../conformance/clients/build.sh");
/** What the script ends with if the client is neither in the cache nor to be built. */
const NOT_TO_BE_BUILT = 3;

/** Those that can be run here. What is left out is said loudly. */
export async function otherClients(): Promise<OtherClient[]> {
  const found = await Promise.all([find("Python"), find("Rust")]);
  return found.filter((each) => each !== undefined);
}

/** @throws Error with what its tools said, if it cannot be built */
async function find(name: string): Promise<OtherClient | undefined> {
  try {
    const { stdout } = await promisify(execFile)(script, [name.toLowerCase()], { timeout: 600_000 });
    const [file = "", ...args] = stdout.trim().split("\n");
    return { name, command: { file, args } };
  } catch (error) {
    const { code, stderr } = Object(error);
    if (code !== NOT_TO_BE_BUILT) throw error;
    process.stderr.write(`\n*** the client in ${name} is NOT RUN: ${String(stderr).trim()} ***\n`);
    return undefined;
  }
}
