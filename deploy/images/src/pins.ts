import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Architecture } from "./image-archive.ts";

/** A package of which the images take files: its version, and the SHA-256 of its archive in hexadecimal. */
export interface Pin {
  readonly version: string;
  readonly sha256: string;
}

/** By architecture, and then by the package's name. */
export type Pins = Record<Architecture, Record<string, Pin>>;

const file = fileURLToPath(new URL("../pins.json", import.meta.url));

/** Which archives the images are made of; none that differs is taken. */
export const readPins = (): Pins => JSON.parse(readFileSync(file, "utf8"));

export const writePins = (pins: Pins): void => writeFileSync(file, `${JSON.stringify(pins, undefined, 2)}\n`);

/** @throws Error if the archive is not the one that is pinned */
export function checkPin(name: string, archive: string, { version, sha256 }: Pin): void {
  const found = sha256Of(archive);
  if (found !== sha256) {
    throw new Error(`${name} ${version}: its archive has the SHA-256 ${found}, and not ${sha256} as in ${file}`);
  }
}

export const sha256Of = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
