import "reflect-metadata"; // @peculiar/x509 needs it loaded first
import type { webcrypto } from "node:crypto";
import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type GeneralNameType,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 24 * 60 * 60_000;

/** A certificate and its key, both PEM. */
export interface CertifiedKey {
  cert: string;
  key: string;
}

/** What a certificate says. */
export interface CertificateOptions {
  /** The subject's common name. */
  commonName: string;
  /** The subject's organization, which Kubernetes takes as the group. */
  organization?: string;
  /** DNS names and IP addresses that a server's certificate is for; empty for a client's. */
  hosts?: readonly string[];
  /** How long it is valid, in days. */
  days: number;
}

/** An authority of our own, for the local proxy, demos and tests: its key is in memory only. */
export class CertificateAuthority {
  readonly #certificate: X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(certificate: X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#certificate = certificate;
    this.#keys = keys;
  }

  /** Makes a new authority. */
  static async create(commonName: string, days: number): Promise<CertificateAuthority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      ...validity(commonName, days),
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    return new CertificateAuthority(certificate, keys);
  }

  /** The authority's certificate, PEM. */
  get pem(): string {
    return this.#certificate.toString("pem");
  }

  /** Issues a certificate: a server's if it names hosts, else a client's. */
  async issue({ commonName, organization, hosts = [], days }: CertificateOptions): Promise<CertifiedKey> {
    const keys = await newKeys();
    const { name: subject, ...rest } = validity(commonName, days, organization);
    const certificate = await X509CertificateGenerator.create({
      ...rest,
      subject,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: leafExtensions(hosts),
    });
    return { cert: certificate.toString("pem"), key: await privateKeyPem(keys) };
  }
}

/** A server's certificate that vouches for itself: whoever is to trust it gets it by another way. */
export async function selfSigned({ commonName, hosts = [], days }: CertificateOptions): Promise<CertifiedKey> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...validity(commonName, days),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: leafExtensions(hosts),
  });
  return { cert: certificate.toString("pem"), key: await privateKeyPem(keys) };
}

/** When a certificate ends. @param pem the certificate */
export function expiryOf(pem: string): Date {
  return new X509Certificate(pem).notAfter;
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function validity(commonName: string, days: number, organization?: string) {
  const now = Date.now();
  return {
    name: organization === undefined ? `CN=${commonName}` : `O=${organization}, CN=${commonName}`,
    serialNumber: `01${randomBytes(15).toString("hex")}`,
    notBefore: new Date(now - 60 * 60_000), // clocks differ
    notAfter: new Date(now + days * DAY_MS),
  };
}

function leafExtensions(hosts: readonly string[]): Extension[] {
  const usage = hosts.length > 0 ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth;
  const names = hosts.map((value) => ({ type: (isIP(value) ? "ip" : "dns") as GeneralNameType, value }));
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([usage]),
    ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
  ];
}

async function privateKeyPem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  return PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
}
