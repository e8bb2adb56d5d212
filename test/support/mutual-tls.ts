import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CertificateAuthority, type CertifiedKey } from "@fairlead/certificates";
import type { ProcessName } from "@fairlead/demo";
import type { ListenerAddress } from "./flooding-peer.ts";

/** What makes agent and identity proxy meet on a port, by mutual TLS, and not on a Unix socket. */
export interface MutualTls {
  /** More arguments of the two processes. */
  args(process: ProcessName): readonly string[];
  /** The identity proxy's listener, for a peer with the agent's own certificate. */
  readonly asAgent: ListenerAddress;
}

/** @param folder where the certificates go; it has to be there */
export async function mutualTls(folder: string, port: number): Promise<MutualTls> {
  const authority = await CertificateAuthority.create("identity proxy's authority", 1);
  const server = await authority.issue({ commonName: "identity proxy", hosts: ["127.0.0.1"], days: 1 });
  const client = await authority.issue({ commonName: "agent", days: 1 });
  const ca = join(folder, "mutual-tls-ca.crt");
  await writeFile(ca, authority.pem);
  const [serverFiles, clientFiles] = [await write("identity-proxy", server), await write("agent", client)];
  const args: Partial<Record<ProcessName, readonly string[]>> = {
    "identity proxy": ["--listen", `127.0.0.1:${port}`, ...serverFiles, "--client-ca", ca],
    agent: ["--identity-proxy", `https://127.0.0.1:${port}`, ...clientFiles, "--identity-proxy-ca", ca],
  };
  return { args: (process) => args[process] ?? [], asAgent: { port, ca: authority.pem, ...client } };

  async function write(name: string, { cert, key }: CertifiedKey): Promise<string[]> {
    const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    await writeFile(certFile, cert);
    await writeFile(keyFile, key, { mode: 0o600 });
    return ["--tls-cert", certFile, "--tls-key", keyFile];
  }
}
