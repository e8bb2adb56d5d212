import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "@fairlead/images/run";

export const TARGETS = [
  "linux-x64",
  "linux-arm64",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
  "windows-arm64",
] as const;
/** An operating system and a processor. */
export type Target = (typeof TARGETS)[number];

/** An archive of a registry that has node for a target in it. */
export interface Pin {
  readonly registry: "npm" | "pypi";
  readonly package: string;
  readonly version: string;
  /** PyPI's word for the target. */
  readonly platform?: string;
  /** Where node is in the archive. */
  readonly member: string;
  /** Of the archive, in hexadecimal. */
  readonly sha256: string;
}

const PINS = fileURLToPath(new URL("../pins.json", import.meta.url));

/** Which node each executable is made of; none that differs is taken. */
export const readPins = (): Record<Target, Pin> => JSON.parse(readFileSync(PINS, "utf8"));

/**
 * Gives the node that a target's executable is made of.
 *
 * @param cache a folder that may be thrown away, where the archive is kept
 * @throws Error if it cannot be had any more, or is not the one that is pinned
 */
export function nodeBinary(target: Target, cache: string): Buffer {
  const pin = readPins()[target];
  const archive = join(cache, `node-${pin.version}-${target}`);
  if (!existsSync(archive)) download(pin, archive, cache);
  const found = createHash("sha256").update(readFileSync(archive)).digest("hex");
  if (found !== pin.sha256) throw new Error(`${archive} has the SHA-256 ${found}, and not ${pin.sha256} as in ${PINS}`);
  if (pin.registry === "npm") return run("tar", ["-xzOf", archive, pin.member]);
  const unzip = "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
  return run("python3", ["-c", unzip, archive, pin.member]);
}

function download(pin: Pin, archive: string, cache: string): void {
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "new-"));
  const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", `--platform=${pin.platform}`];
  if (pin.registry === "npm") {
    run("npm", ["pack", `${pin.package}@${pin.version}`, "--silent", "--pack-destination", folder]);
  } else run("python3", [...pip, "--dest", folder, `${pin.package}==${pin.version}`]);
  renameSync(join(folder, readdirSync(folder)[0] ?? ""), archive);
  rmSync(folder, { recursive: true });
}
