import type { JWTPayload } from "jose";
import { Expression } from "./cel/expression.ts";
import { ClaimValues } from "./claim-values.ts";
import type { ClaimMapping, ExpressionRule, ExtraMapping, IssuerConfiguration } from "./configuration.ts";
import { extraValue, name } from "./names.ts";

/** Who a token speaks for. */
export interface Subject {
  user: string;
  groups: string[];
  uid: string | undefined;
  /** The user's extras (authentication.k8s.io/v1 UserInfo), if there are any. */
  extra?: Readonly<Record<string, readonly string[]>>;
  /** The key that the token is bound to (`cnf.jkt`, RFC 9449, 6.1): each request needs its proof. undefined if it is not. */
  keyThumbprint?: string;
  /** When the token expires, in milliseconds since the epoch. */
  expiresAtMs: number;
}

/**
 * Maps a verified token's claims to a subject.
 *
 * @throws Error with a sentence for the caller, if a claim is missing, its value cannot be a name, or a rule is not kept
 */
export function subjectOf(claims: JWTPayload, issuer: IssuerConfiguration): Subject {
  for (const { claim, value } of issuer.requiredClaims) {
    if (claims[claim] !== value) throw new Error(`the claim ${claim} does not have the value that is required`);
  }
  const values = new ClaimValues(claims);
  for (const { expression, message } of issuer.claimRules) {
    if (values.of(expression) !== true) throw new Error(message);
  }
  const { username, groups, uid } = issuer;
  // An address that nobody verified is anybody's. Stricter than Kubernetes, which takes one that says nothing of it.
  if (!(username instanceof Expression) && username.claim === "email" && claims.email_verified !== true) {
    throw new Error("the e-mail address is not verified (email_verified)");
  }
  const subject: Subject = {
    user: name(values.of(username), username),
    groups: groups === undefined ? [] : groupsOf(values, groups),
    uid: uid && name(values.of(uid), uid),
    ...extraOf(values, issuer.extra),
    ...keyOf(claims),
    expiresAtMs: (claims.exp ?? 0) * 1000,
  };
  checkUser(subject, issuer.userRules);
  return subject;
}

function groupsOf(values: ClaimValues, groups: ClaimMapping | Expression): string[] {
  const value = values.of(groups);
  const isNone = groups instanceof Expression ? value === null || value === "" : value === undefined;
  if (isNone) return [];
  return [...new Set((Array.isArray(value) ? value : [value]).map((group) => name(group, groups)))];
}

/** As Kubernetes: what is null, empty or a list of nothing is no extra, and what is empty in a list is left out. */
function extraOf(values: ClaimValues, mappings: readonly ExtraMapping[]): Pick<Subject, "extra"> {
  const entries = mappings.flatMap(({ key, value: expression }) => {
    const value = values.of(expression);
    const given = (Array.isArray(value) ? value : [value]).filter((each) => each !== "");
    if (value === null || given.length === 0) return [];
    return [[key, given.map((each) => extraValue(each, `the extra ${key}`))] as const];
  });
  return entries.length === 0 ? {} : { extra: Object.fromEntries(entries) };
}

function checkUser({ user, uid, groups, extra }: Subject, rules: readonly ExpressionRule[]): void {
  if (rules.length === 0) return;
  const value = { username: user, uid: uid ?? "", groups, extra: extra ?? {} };
  for (const { expression, message } of rules) if (expression.evaluate(value) !== true) throw new Error(message);
}

/** A binding that is not understood must not be taken for none. */
function keyOf({ cnf }: JWTPayload): Pick<Subject, "keyThumbprint"> {
  if (cnf === undefined) return {};
  const { jkt, ...others } = Object(cnf);
  if (typeof jkt === "string" && jkt !== "" && Object.keys(others).length === 0) return { keyThumbprint: jkt };
  throw new Error("it is bound in a way that is not supported (cnf); of all bindings, DPoP's jkt is");
}
