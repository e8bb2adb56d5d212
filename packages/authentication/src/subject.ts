import type { JWTPayload } from "jose";
import type { ClaimMapping, IssuerConfiguration } from "./configuration.ts";

/** Who a token speaks for. */
export interface Subject {
  user: string;
  groups: string[];
  uid: string | undefined;
  /** The key that the token is bound to (`cnf.jkt`, RFC 9449, 6.1): each request needs its proof. undefined if it is not. */
  keyThumbprint?: string;
  /** When the token expires, in milliseconds since the epoch. */
  expiresAtMs: number;
}

/** Control characters would end a header; half a surrogate pair would become another name in UTF-8. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/**
 * Maps a verified token's claims to a subject.
 *
 * @throws Error with a sentence for the caller, if a claim is missing or its value cannot be a name
 */
export function subjectOf(claims: JWTPayload, issuer: IssuerConfiguration): Subject {
  for (const { claim, value } of issuer.requiredClaims) {
    if (claims[claim] !== value) throw new Error(`the claim ${claim} does not have the value that is required`);
  }
  const { username } = issuer;
  // An address that nobody verified is anybody's. Stricter than Kubernetes, which takes one that says nothing of it.
  if (username.claim === "email" && claims.email_verified !== true) {
    throw new Error("the e-mail address is not verified (email_verified)");
  }
  return {
    user: name(claims[username.claim], username),
    groups: groupsOf(claims, issuer),
    uid:
      issuer.uidClaim === undefined ? undefined : name(claims[issuer.uidClaim], { claim: issuer.uidClaim, prefix: "" }),
    ...keyOf(claims),
    expiresAtMs: (claims.exp ?? 0) * 1000,
  };
}

/** A binding that is not understood must not be taken for none. */
function keyOf({ cnf }: JWTPayload): Pick<Subject, "keyThumbprint"> {
  if (cnf === undefined) return {};
  const { jkt, ...others } = Object(cnf);
  if (typeof jkt === "string" && jkt !== "" && Object.keys(others).length === 0) return { keyThumbprint: jkt };
  throw new Error("it is bound in a way that is not supported (cnf); of all bindings, DPoP's jkt is");
}

function groupsOf(claims: JWTPayload, { groups }: IssuerConfiguration): string[] {
  if (groups === undefined) return [];
  const value = claims[groups.claim];
  if (value === undefined) {
    // Entra ID leaves the groups out of a token with too many and names a link instead (_claim_names).
    const links = claims._claim_names;
    if (typeof links === "object" && links !== null && groups.claim in links) {
      throw new Error(
        `the token has too many groups to list them (${groups.claim} is only a link); filter them at the issuer`,
      );
    }
    return [];
  }
  const values = Array.isArray(value) ? value : [value];
  return [...new Set(values.map((group) => name(group, groups)))];
}

/** `system:` names are Kubernetes' own: a token never gives one. */
function name(value: unknown, { claim, prefix }: ClaimMapping): string {
  if (typeof value !== "string" || value.trim() === "") throw new Error(`the claim ${claim} is missing or blank`);
  const full = prefix + value;
  if (UNSAFE.test(full)) throw new Error(`the claim ${claim} has control characters`);
  if (full.trim().startsWith("system:")) throw new Error(`the claim ${claim} gives a system: name, which no token may`);
  // HTTP takes blanks at the ends off a header (RFC 9110, 5.5): "jane " would act as "jane".
  if (full.trim() !== full) throw new Error(`the claim ${claim} begins or ends with a blank`);
  return full;
}
