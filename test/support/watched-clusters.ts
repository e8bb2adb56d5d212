import { createRequire } from "node:module";
import type { DemoPerson, Tunnel } from "@fairlead/demo";
import { RunningProgram } from "./running-program.ts";

const MAIN = createRequire(import.meta.url).resolve("@fairlead/cli/main");

/** `fairlead clusters --watch`, as a person runs it. */
export function watchedClusters(tunnel: Tunnel, person: DemoPerson): RunningProgram {
  const relay = ["--relay", tunnel.relayUrl, "--relay-ca", tunnel.file("ca.crt")];
  const args = [MAIN, "clusters", "--watch", ...relay, "--token-file", tunnel.tokenFile(person)];
  return new RunningProgram({ file: process.execPath, args });
}
