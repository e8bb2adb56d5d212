import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { run } from "@fairlead/images/run";
import { NODE_FLAGS } from "@fairlead/service";
import { inject } from "postject";
import { readPins, type Target } from "./node-binary.ts";
import { signMachO } from "./sign-mach-o.ts";
import { withoutCertificate } from "./without-certificate.ts";

/** What node looks for in its own file (node's lib/internal/main/embedding.js and src/node_sea.cc). */
const RESOURCE = "NODE_SEA_BLOB";
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

/** A program, as node runs it out of its own file. */
export interface Program {
  /** A CommonJS file that needs no other. */
  readonly main: string;
  /** Files that it reads by `getAsset`, by name. */
  readonly assets: Readonly<Record<string, string>>;
}

/**
 * Puts a program into node.
 *
 * @param node the node of the target
 * @returns the executable
 */
export async function executable(target: Target, node: Buffer, program: Program): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-executable-"));
  try {
    const file = join(folder, "fairlead");
    writeFileSync(file, target.startsWith("windows") ? withoutCertificate(node) : node);
    const macho = { machoSegmentName: "NODE_SEA" };
    await inject(file, RESOURCE, blob(target, program, folder), { sentinelFuse: FUSE, ...macho });
    const made = readFileSync(file);
    return target.startsWith("darwin") ? signMachO(made, "fairlead") : made;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Compiled code is of one processor and one version: only for a node like ours it can be in there. */
const isLikeOurs = (target: Target): boolean =>
  target === `${process.platform}-${process.arch}` && readPins()[target].version === process.versions.node;

function blob(target: Target, { main, assets }: Program, folder: string): Buffer {
  const [config, output] = [join(folder, "sea.json"), join(folder, "sea.blob")];
  const own = { main: basename(main), output, assets, useCodeCache: isLikeOurs(target) };
  writeFileSync(config, JSON.stringify({ ...own, execArgv: NODE_FLAGS, disableExperimentalSEAWarning: true }));
  // With the flags that it will run with: V8 takes no compiled code that was made with others.
  run(process.execPath, [...NODE_FLAGS, "--experimental-sea-config", config], dirname(main)); // its path is in the blob
  return readFileSync(output);
}
