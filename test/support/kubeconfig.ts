import { writeFile } from "node:fs/promises";
import type { KeyPair } from "./certificate-authority.ts";

export interface KubeconfigContents {
  readonly server: string;
  readonly caFile: string;
  readonly client: KeyPair;
}

/** Writes a kubeconfig with one context; JSON is YAML too. */
export async function writeKubeconfig(path: string, contents: KubeconfigContents): Promise<string> {
  const { server, caFile, client } = contents;
  const user = { "client-certificate": client.certFile, "client-key": client.keyFile };
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "testbed", cluster: { server, "certificate-authority": caFile } }],
    users: [{ name: "person", user }],
    contexts: [{ name: "testbed", context: { cluster: "testbed", user: "person" } }],
    "current-context": "testbed",
  };
  await writeFile(path, JSON.stringify(kubeconfig, undefined, 2), { mode: 0o600 });
  return path;
}
