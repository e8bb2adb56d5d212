import { readFile, writeFile } from "node:fs/promises";
import type { Tunnel } from "@fairlead/demo";
import { parse } from "yaml";
import { alice } from "./tunnel.ts";

/** Writes a kubeconfig for Alice that goes without the client proxy. @returns the file */
export async function directKubeconfig(tunnel: Tunnel): Promise<string> {
  const file = tunnel.file("direct.kubeconfig");
  await tunnel.cli(alice, "kubeconfig", tunnel.cluster, "--direct", "--file", file);
  return file;
}

/** The server that a kubeconfig points at, and its authority. */
export async function serverIn(kubeconfig: string): Promise<{ url: URL; ca: Buffer }> {
  const { cluster } = parse(await readFile(kubeconfig, "utf8")).clusters[0];
  return { url: new URL(cluster.server), ca: Buffer.from(cluster["certificate-authority-data"], "base64") };
}

/** Puts another token in the place of Alice's. */
export function replaceToken(tunnel: Tunnel, token: string): Promise<void> {
  return writeFile(tunnel.tokenFile(alice), token);
}
