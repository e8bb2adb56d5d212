import { decodeJwt, type JWTPayload } from "jose";

/**
 * When a token says that it expires, in milliseconds since the epoch; undefined if it says nothing. Nothing is verified:
 * it is for who holds the token, and wants to replace it in time.
 */
export function tokenExpiryMs(token: string): number | undefined {
  const { exp } = claimsOf(token);
  return typeof exp === "number" ? exp * 1_000 : undefined;
}

/**
 * Whose token it says it is: an issuer and who its subject is there; undefined if it says nothing. Nothing is verified: it
 * is for who holds several people's tokens, and must not take one's things for another's.
 */
export function tokenSubject(token: string): string | undefined {
  const { iss, sub } = claimsOf(token);
  return typeof iss === "string" && typeof sub === "string" ? `${sub} of ${iss}` : undefined;
}

function claimsOf(token: string): JWTPayload {
  try {
    return decodeJwt(token);
  } catch {
    return {}; // no JWT
  }
}
