import { createPublicKey, type JsonWebKey, X509Certificate } from "node:crypto";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { JSONWebKeySet } from "jose";

/** Whose tokens let an agent join a cluster. */
export interface ServiceAccountJoin {
  /** NAMESPACE/NAME. */
  serviceAccount: string;
  /** The `iss` of its tokens. */
  issuer: string;
  /** The issuer's keys, a JWK Set as JSON; undefined: the issuer is asked for them. */
  jwks: string | undefined;
  /** PEM of the authority of the issuer's server; undefined for the system's. */
  certificateAuthority: string | undefined;
  /** The tokens' one audience, https://RELAY/clusters/CLUSTER. */
  audience: string;
}

/** A namespace is a DNS label (RFC 1123), a service account's name a DNS subdomain. */
const SERVICE_ACCOUNT = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
/** Longest of each text, in characters: what is kept is read at each attempt to join. */
const MAX = { issuer: 1_024, jwks: 32_768, certificateAuthority: 16_384, audience: 1_024 };
/** Shortest RSA key, in bits. */
const MIN_RSA_BITS = 2_048;
/** Members of private and of symmetric keys (RFC 7518, 6.2.2, 6.3.2 and 6.4). */
const SECRET_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/**
 * Checks what an administrator registers for a cluster, before any of it is kept.
 *
 * @param cluster the cluster, whose name the audience must have
 * @param join as it came; empty texts are none
 * @throws FairleadError MALFORMED_REQUEST that says what is due
 */
export function checkServiceAccountJoin(cluster: string, join: Texts): ServiceAccountJoin {
  const { serviceAccount, issuer, jwks, certificateAuthority, audience } = join;
  if (!SERVICE_ACCOUNT.test(serviceAccount)) throw malformed("a service account is NAMESPACE/NAME");
  for (const [name, most] of Object.entries(MAX)) {
    if (join[name as keyof typeof MAX].length > most) throw malformed(`the ${name} is longer than ${most} characters`);
  }
  if (issuer === "") throw malformed("an issuer is due: the apiserver's --service-account-issuer");
  if (jwks === "" && !isPlainHttps(issuer)) {
    throw malformed("an issuer that is to be asked for its keys is https://HOST[:PORT][/PATH]; or give its keys");
  }
  if (!isPlainHttps(audience) || !audience.endsWith(`/clusters/${cluster}`)) {
    throw malformed(`the audience is https://RELAY/clusters/${cluster}, with the relay as its agents know it`);
  }
  if (jwks !== "") checkKeys(keySetOf(jwks));
  if (certificateAuthority !== "") checkCertificate(certificateAuthority);
  const orNone = (text: string) => (text === "" ? undefined : text);
  const [keys, authority] = [orNone(jwks), orNone(certificateAuthority)];
  return { serviceAccount, issuer, jwks: keys, certificateAuthority: authority, audience };
}

/** A {@link ServiceAccountJoin} as it comes by the wire. */
type Texts = Record<keyof ServiceAccountJoin, string>;

/** Reads a JWK Set (RFC 7517, 5). @throws FairleadError MALFORMED_REQUEST if it is none */
export function keySetOf(jwks: string): JSONWebKeySet {
  const due = "the keys are a JWK Set with one key or more, as `kubectl get --raw /openid/v1/jwks` prints it";
  let keys: unknown;
  try {
    keys = Object(JSON.parse(jwks)).keys;
  } catch {
    throw malformed(due); // without the cause, which quotes it
  }
  if (!Array.isArray(keys) || keys.length === 0) throw malformed(due);
  return { keys };
}

/** A key that cannot be used would be noticed only when an agent is to come back. */
function checkKeys({ keys }: JSONWebKeySet): void {
  for (const key of keys) {
    const secret = SECRET_MEMBERS.find((member) => Object.hasOwn(Object(key), member));
    if (secret !== undefined)
      throw malformed("there is a secret or a private key among the keys: give public ones only");
    if (!canVerify(key)) throw malformed("there is a key among the keys that no signature can be verified by");
  }
}

/** Shorter ones are refused when they verify (RFC 7518, 3.3). */
function canVerify(key: JsonWebKey): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({ key, format: "jwk" });
    return asymmetricKeyType !== "rsa" || (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS;
  } catch {
    return false;
  }
}

function checkCertificate(pem: string): void {
  try {
    new X509Certificate(pem);
  } catch {
    throw malformed("the issuer's authority is not a certificate in PEM");
  }
}

function isPlainHttps(text: string): boolean {
  const { protocol, username, password, search, hash } = URL.parse(text) ?? { protocol: "" };
  return protocol === "https:" && `${username}${password}${search}${hash}` === "" && !/[\s?#]/.test(text);
}

function malformed(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.RELAY, sentence);
}
