import type { JWTPayload } from "jose";

/*
 * Sentences for callers whose token is refused by its times. A clock that is wrong is the usual cause, and nobody thinks
 * of it: so they say how far off the token is by the clock of the machine that judges, which is the error's hop.
 */

/** How far clocks may differ, in seconds. */
export const CLOCK_TOLERANCE_SECONDS = 30;

const CHECK = "check this machine's clock and the issuer's";

export function expired({ exp }: JWTPayload): string {
  return `it has expired, ${-secondsUntil(exp)} s ago by this machine's clock; get a new one`;
}

/** Of a token that has its time of validity (`nbf`) still before it; of one whose `nbf` is no number, that it is none. */
export function notValidYet({ nbf }: JWTPayload): string {
  if (typeof nbf !== "number") return "its claim nbf is not as it must be";
  return `it is not valid yet, for another ${secondsUntil(nbf)} s: ${CHECK}`;
}

export function issuedInFuture({ iat }: JWTPayload): string {
  return `it was issued ${secondsUntil(iat)} s in the future: ${CHECK}`;
}

function secondsUntil(time = 0): number {
  return Math.round(time - Date.now() / 1000);
}
