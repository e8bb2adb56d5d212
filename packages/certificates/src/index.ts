import "reflect-metadata"; // @peculiar/x509 needs it loaded first
import { createPublicKey, type KeyObject, randomBytes, type webcrypto } from "node:crypto";
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
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 24 * 60 * 60_000;
/** How far the clocks of who issues a certificate and who judges it may be apart, in milliseconds. */
const CLOCK_TOLERANCE_MS = 60_000;

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

/** What a certificate for somebody else's key says. */
export interface CertifyOptions {
  /** The subject's common name. */
  commonName: string;
  /** The URI that names the subject. */
  uri: string;
  /** How long it is valid, in milliseconds. */
  lifetimeMs: number;
}

/** An authority of our own. */
export class CertificateAuthority {
  readonly #certificate: X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificate: X509Certificate, key: webcrypto.CryptoKey) {
    this.#certificate = certificate;
    this.#key = key;
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
    return new CertificateAuthority(certificate, keys.privateKey);
  }

  /**
   * Reads an authority.
   *
   * @param cert its certificate, PEM
   * @param key its key, PKCS#8 PEM, on the curve P-256
   * @throws Error if the one is not of the other
   */
  static async read({ cert, key }: CertifiedKey): Promise<CertificateAuthority> {
    const certificate = new X509Certificate(cert);
    const { publicKey, privateKey } = await keyPair(key);
    const ofKey = Buffer.from(await crypto.subtle.exportKey("spki", publicKey));
    if (!ofKey.equals(Buffer.from(certificate.publicKey.rawData))) throw new Error("the certificate is not the key's");
    return new CertificateAuthority(certificate, privateKey);
  }

  /** The authority's certificate, PEM. */
  get pem(): string {
    return this.#certificate.toString("pem");
  }

  /** The authority's key, PKCS#8 PEM. */
  keyPem(): Promise<string> {
    return privateKeyPem(this.#key);
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
      signingKey: this.#key,
      signingAlgorithm: ALGORITHM,
      extensions: leafExtensions(hosts),
    });
    return { cert: certificate.toString("pem"), key: await privateKeyPem(keys.privateKey) };
  }

  /**
   * Certifies the key of a request. Only the key of it counts: what a certificate says is the authority's to say.
   *
   * @param request PKCS#10 (RFC 2986), DER
   * @returns the certificate, DER
   * @throws Error if the request is not signed by its own key, or the key is not on the curve P-256
   */
  async certify(request: Uint8Array, { commonName, uri, lifetimeMs }: CertifyOptions): Promise<Uint8Array> {
    const { publicKey } = await readRequest(request);
    const now = Date.now();
    const certificate = await X509CertificateGenerator.create({
      subject: `CN=${commonName}`,
      serialNumber: serialNumber(),
      notBefore: new Date(now - Math.min(CLOCK_TOLERANCE_MS, lifetimeMs / 10)),
      notAfter: new Date(now + lifetimeMs),
      issuer: this.#certificate.subject,
      publicKey,
      signingKey: this.#key,
      signingAlgorithm: ALGORITHM,
      extensions: leafExtensions([], uri),
    });
    return new Uint8Array(certificate.rawData);
  }
}

/** A new key, and the request to certify it. */
export interface RequestedKey {
  /** PKCS#8 PEM. */
  key: string;
  /** PKCS#10, DER. */
  request: Uint8Array;
}

/** Makes a key and a request to certify it. @param key one that is there already, PKCS#8 PEM */
export async function requestedKey(key?: string): Promise<RequestedKey> {
  const keys = key === undefined ? await newKeys() : await keyPair(key);
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: ALGORITHM,
    name: "CN=agent",
  });
  return { key: key ?? (await privateKeyPem(keys.privateKey)), request: new Uint8Array(request.rawData) };
}

/** The public key of a request. @throws Error as {@link CertificateAuthority.certify} */
export async function requestPublicKey(request: Uint8Array): Promise<KeyObject> {
  const { publicKey } = await readRequest(request);
  return createPublicKey({ key: Buffer.from(publicKey.rawData), format: "der", type: "spki" });
}

async function readRequest(der: Uint8Array): Promise<Pkcs10CertificateRequest> {
  const request = new Pkcs10CertificateRequest(Buffer.from(der));
  const { name, namedCurve } = request.publicKey.algorithm as { name?: string; namedCurve?: string };
  if (name !== ALGORITHM.name || namedCurve !== ALGORITHM.namedCurve)
    throw new Error("the key is not on the curve P-256");
  if (!(await request.verify())) throw new Error("the certificate request is not signed by its own key");
  return request;
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
  return { cert: certificate.toString("pem"), key: await privateKeyPem(keys.privateKey) };
}

/** When a certificate ends. @param pem the certificate */
export function expiryOf(pem: string): Date {
  return new X509Certificate(pem).notAfter;
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

/** 120 random bits; the first byte keeps it positive (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  return `01${randomBytes(15).toString("hex")}`;
}

function validity(commonName: string, days: number, organization?: string) {
  const now = Date.now();
  return {
    name: organization === undefined ? `CN=${commonName}` : `O=${organization}, CN=${commonName}`,
    serialNumber: serialNumber(),
    notBefore: new Date(now - 60 * 60_000), // clocks differ
    notAfter: new Date(now + days * DAY_MS),
  };
}

function leafExtensions(hosts: readonly string[], uri?: string): Extension[] {
  const usage = hosts.length > 0 ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth;
  const names = hosts.map((value) => ({ type: (isIP(value) ? "ip" : "dns") as GeneralNameType, value }));
  if (uri !== undefined) names.push({ type: "url", value: uri });
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([usage]),
    ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
  ];
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

/** @throws Error if it is no key on the curve P-256 */
async function keyPair(pem: string): Promise<webcrypto.CryptoKeyPair> {
  const privateKey = await importKey(pem);
  const { x = "", y = "" } = await crypto.subtle.exportKey("jwk", privateKey);
  const point = { kty: "EC", crv: ALGORITHM.namedCurve, x, y };
  return { privateKey, publicKey: await crypto.subtle.importKey("jwk", point, ALGORITHM, true, ["verify"]) };
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey("pkcs8", PemConverter.decodeFirst(pem), ALGORITHM, true, ["sign"]);
}
