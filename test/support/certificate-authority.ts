import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const openssl = (...args: string[]): Promise<unknown> => promisify(execFile)("openssl", args);

export interface KeyPair {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Kubernetes reads a client certificate's common name as the user, and each organization as a group. */
export interface Person {
  readonly user: string;
  readonly groups: readonly string[];
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const days = ["-days", "30"];

/** A certificate authority in a folder, by the openssl program. */
export class CertificateAuthority {
  readonly certFile: string;
  private readonly dir: string;
  private readonly keyFile: string;

  private constructor(dir: string, name: string) {
    this.dir = dir;
    this.certFile = join(dir, `${name}.crt`);
    this.keyFile = join(dir, `${name}.key`);
  }

  static async create(dir: string, name = "ca"): Promise<CertificateAuthority> {
    const authority = new CertificateAuthority(dir, name);
    const files = ["-keyout", authority.keyFile, "-out", authority.certFile];
    await openssl("req", "-x509", ...newKey, ...files, ...days, "-subj", `/CN=${name}`);
    return authority;
  }

  /** A server's certificate; a name is an IP address or a DNS name. */
  issueServer(file: string, names: readonly string[]): Promise<KeyPair> {
    const alternatives = names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`));
    return this.issue(file, `/CN=${file}`, [`subjectAltName=${alternatives.join(",")}`, "extendedKeyUsage=serverAuth"]);
  }

  issueClient(file: string, { user, groups }: Person): Promise<KeyPair> {
    const subject = [...groups.map((group) => `/O=${group}`), `/CN=${user}`].join("");
    return this.issue(file, subject, ["extendedKeyUsage=clientAuth"]);
  }

  private async issue(file: string, subject: string, extensions: string[]): Promise<KeyPair> {
    const at = (extension: string): string => join(this.dir, `${file}.${extension}`);
    const pair = { certFile: at("crt"), keyFile: at("key") };
    await writeFile(at("ext"), `${extensions.join("\n")}\n`);
    await openssl("req", ...newKey, "-keyout", pair.keyFile, "-out", at("csr"), "-subj", subject);
    const signer = ["-CA", this.certFile, "-CAkey", this.keyFile, "-set_serial", serialNumber()];
    const files = ["-in", at("csr"), "-out", pair.certFile, "-extfile", at("ext")];
    await openssl("x509", "-req", ...files, ...signer, ...days);
    return pair;
  }
}

/** Random, so that certificates can be issued at the same time without a serial file. */
function serialNumber(): string {
  return `0x${randomBytes(8).toString("hex")}`;
}
