import { it } from "@jest/globals";
import type { Kubectl } from "./kubectl.ts";

/** `it`, or a skipped one when this kubectl is too old for what is tested. */
export function itSince(minor: number, kubectl: Kubectl): typeof it | typeof it.skip {
  return kubectl.binary.minor < minor ? it.skip : it;
}
