import { writeFile } from "node:fs/promises";
import type { Tunnel } from "@fairlead/demo";
import { alice } from "./tunnel.ts";

/** Writes a kubeconfig for Alice that goes without the client proxy. @returns the file */
export async function directKubeconfig(tunnel: Tunnel): Promise<string> {
  const file = tunnel.file("direct.kubeconfig");
  await tunnel.cli(alice, "kubeconfig", tunnel.cluster, "--direct", "--file", file);
  return file;
}

/** Puts another token in the place of Alice's. */
export function replaceToken(tunnel: Tunnel, token: string): Promise<void> {
  return writeFile(tunnel.tokenFile(alice), token);
}
