import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { clusterUri } from "@fairlead/agent-identity";
import { CertificateAuthority } from "@fairlead/certificates";

/** Where the authority is, PEM. The first certificate is the key's; agents of the others are taken in too. */
export interface AuthorityFiles {
  certFile: string;
  keyFile: string;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** How long an authority lasts that the relay made for itself, in days. */
const OWN_DAYS = 3_650;

/** What certifies the keys of agents, and whose certificates count. */
export class AgentAuthority {
  readonly #authority: CertificateAuthority;
  readonly #lifetimeMs: number;
  readonly trusted: readonly X509Certificate[];

  private constructor(authority: CertificateAuthority, trusted: readonly X509Certificate[], lifetimeMs: number) {
    this.#authority = authority;
    this.trusted = trusted;
    this.#lifetimeMs = lifetimeMs;
  }

  /**
   * Reads the authority, or makes one where neither file is there.
   *
   * @param lifetimeMs how long agents' certificates last, in milliseconds
   * @throws Error if a file is missing or the key is not the first certificate's
   */
  static async open(files: AuthorityFiles, lifetimeMs: number): Promise<AgentAuthority> {
    const { certFile, keyFile } = files;
    if (!existsSync(certFile) && !existsSync(keyFile)) await makeAuthority(files);
    const certs = (await readFile(certFile, "utf8")).match(BLOCK) ?? [];
    const authority = await readAuthority(files, certs);
    const trusted = certs.map((pem) => new X509Certificate(pem));
    return new AgentAuthority(authority, trusted, lifetimeMs);
  }

  /**
   * Certifies an agent's key.
   *
   * @param request PKCS#10, DER
   * @throws Error if the request is no good
   */
  async certify(request: Uint8Array, cluster: string): Promise<X509Certificate> {
    const says = { commonName: cluster, uri: clusterUri(cluster), lifetimeMs: this.#lifetimeMs };
    return new X509Certificate(await this.#authority.certify(request, says));
  }
}

/** The key first: if this is cut short, there is no certificate, and the next start says so. */
async function makeAuthority({ certFile, keyFile }: AuthorityFiles): Promise<void> {
  const authority = await CertificateAuthority.create("fairlead agents", OWN_DAYS);
  await writeFile(keyFile, await authority.keyPem(), { mode: 0o600, flag: "wx" });
  await writeFile(certFile, authority.pem, { flag: "wx" });
}

async function readAuthority({ certFile, keyFile }: AuthorityFiles, [cert]: readonly string[]) {
  if (cert === undefined) throw new Error(`${certFile}: there is no certificate in it`);
  try {
    return await CertificateAuthority.read({ cert, key: await readFile(keyFile, "utf8") });
  } catch (cause) {
    throw new Error(`${keyFile}: not the key of the first certificate in ${certFile}`, { cause });
  }
}
