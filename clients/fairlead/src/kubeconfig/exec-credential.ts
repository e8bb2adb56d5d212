import { tokenExpiryMs } from "@fairlead/authentication/token-claims";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { misuse } from "../misuse.ts";

/** The versions in which a client may ask (k8s.io/client-go, pkg/apis/clientauthentication). */
const VERSIONS = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] as const;

/**
 * How much earlier than it does a token is said to expire: a tenth of the time that it has left, this long at most, in
 * milliseconds. A client takes the time literally, and a request needs some of it to get to the cluster.
 */
const SKEW_MS = 30_000;

/** The latest time that a Date can say, in milliseconds since the epoch (ECMA-262, 21.4.1.1). */
const LATEST_DATE_MS = 8.64e15;

/** What a credential plugin answers: an ExecCredential with a token. */
export interface ExecCredential {
  kind: "ExecCredential";
  apiVersion: string;
  status: { token: string; expirationTimestamp?: string };
}

/**
 * Makes the answer to a client that asks for a credential.
 *
 * @param token the caller's own
 * @param execInfo KUBERNETES_EXEC_INFO, which says the version that is asked for; older clients set none
 * @param nowMs since the epoch
 * @throws FairleadError TOKEN_REFUSED for a token that has expired, MALFORMED_REQUEST for a version that is not known
 */
export function execCredential(token: string, execInfo: string | undefined, nowMs: number): ExecCredential {
  const apiVersion = versionAsked(execInfo);
  const expiresAtMs = tokenExpiryMs(token);
  if (expiresAtMs === undefined || expiresAtMs > LATEST_DATE_MS)
    return { kind: "ExecCredential", apiVersion, status: { token } };
  const leftMs = expiresAtMs - nowMs;
  if (leftMs <= 0) {
    const sentence = `your token expired at ${new Date(expiresAtMs).toISOString()}; get a new one`;
    throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence);
  }
  const saidMs = expiresAtMs - Math.min(SKEW_MS, leftMs / 10);
  const expirationTimestamp = new Date(saidMs).toISOString();
  return { kind: "ExecCredential", apiVersion, status: { token, expirationTimestamp } };
}

function versionAsked(execInfo: string | undefined): string {
  if (execInfo === undefined || execInfo === "") return VERSIONS[0];
  const asked = apiVersionIn(execInfo);
  const known = VERSIONS.find((version) => version === asked);
  if (known) return known;
  const sentence = `the client asks for a credential in the version ${JSON.stringify(asked)}, which is not known; known are ${VERSIONS.join(" and ")}`;
  throw misuse(sentence);
}

function apiVersionIn(execInfo: string): unknown {
  try {
    return Object(JSON.parse(execInfo)).apiVersion;
  } catch {
    return "of no JSON";
  }
}
