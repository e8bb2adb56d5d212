import { decodeJwt } from "jose";

/**
 * When a token says that it expires, in milliseconds since the epoch; undefined if it says nothing. Nothing is verified:
 * it is for who holds the token, and wants to replace it in time.
 */
export function tokenExpiryMs(token: string): number | undefined {
  try {
    const { exp } = decodeJwt(token);
    return typeof exp === "number" ? exp * 1_000 : undefined;
  } catch {
    return undefined; // no JWT
  }
}
