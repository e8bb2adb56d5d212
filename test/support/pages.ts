import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const HOWTOS = join(import.meta.dirname, "../../docs/howto");

/** Something that a page has its reader type into a shell. */
export interface ShellBlock {
  /** The page's file name. */
  readonly page: string;
  readonly script: string;
}

/** All of them in docs/howto, in the order of the pages. */
export function howtoBlocks(): ShellBlock[] {
  return readdirSync(HOWTOS).flatMap((page) =>
    [...readFileSync(join(HOWTOS, page), "utf8").matchAll(/^```sh\n(.*?)^```$/gms)].map(([, script = ""]) => ({
      page,
      script,
    })),
  );
}
