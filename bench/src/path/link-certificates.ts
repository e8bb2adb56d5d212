import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CertificateAuthority, type CertifiedKey } from "@fairlead/certificates";

/** Files with PEM texts. */
export interface LinkCertificates {
  readonly ca: string;
  readonly server: CertifiedKey;
  readonly client: CertifiedKey;
}

/** Makes the certificates of a peer's own link, and writes them to a folder. The server's is for 127.0.0.1. */
export async function writeLinkCertificates(folder: string): Promise<LinkCertificates> {
  const authority = await CertificateAuthority.create("fairlead bench link", 30);
  const write = async (name: string, text: string): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  };
  const writePair = async (name: string, hosts: readonly string[]): Promise<CertifiedKey> => {
    const { cert, key } = await authority.issue({ commonName: name, hosts, days: 30 });
    return { cert: await write(`${name}.crt`, cert), key: await write(`${name}.key`, key) };
  };
  return {
    ca: await write("ca.crt", authority.pem),
    server: await writePair("server", ["127.0.0.1"]),
    client: await writePair("client", []),
  };
}
