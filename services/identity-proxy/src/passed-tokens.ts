import { tokenExpired } from "@fairlead/authorization";
import type { Upstream } from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import { decodeJwt, type JWTPayload } from "jose";
import type { ApiserverConnection } from "./apiserver.ts";
import { passingHeaders } from "./impersonation.ts";

/** A token that the apiserver itself is to judge, and what it says of itself, which nobody has verified here. */
export interface PassedToken {
  token: string;
  user: string;
  expiresAtMs: number;
}

/**
 * Reads a token of the cluster's own service accounts.
 *
 * @param issuer the apiserver's `--service-account-issuer`; undefined where the cluster's owner passes none on
 * @returns undefined for any other token
 */
export function passedToken(token: string | undefined, issuer: string | undefined): PassedToken | undefined {
  if (token === undefined || issuer === undefined) return undefined;
  const { iss, sub, exp } = claimsOf(token);
  if (iss !== issuer) return undefined;
  return { token, user: typeof sub === "string" ? sub : "", expiresAtMs: typeof exp === "number" ? exp * 1000 : 0 };
}

/**
 * How a request with such a token goes on: with the token as it is, on connections that never carry this process's own
 * credential, a client certificate above all, by which the apiserver would take the request for this process's.
 *
 * @throws FairleadError ACCESS_DENIED where the request's scope takes groups away, which only impersonation could
 */
export function passedUpstream(
  head: RequestHead,
  { token, expiresAtMs }: PassedToken,
  { host, callersPool }: ApiserverConnection,
): Upstream {
  if (head.scope?.groups !== undefined) {
    const sentence =
      "this context narrows groups, which a service account's own token cannot be; choose another context";
    throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
  }
  const ends = { atMs: expiresAtMs, why: () => tokenExpired(Hop.IDENTITY_PROXY) };
  return { pool: callersPool, headers: passingHeaders(head, host, token), ends };
}

function claimsOf(token: string): JWTPayload {
  try {
    return decodeJwt(token);
  } catch {
    return {};
  }
}
