import { createHmac, timingSafeEqual } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Scope, ScopeSchema } from "@fairlead/protocol";

/*
 * A context with a scope has a credential of its own: the scope, and a MAC of it by the full credential (RFC 2104).
 * So whoever has only that context's kubeconfig can neither widen the scope nor leave it out, and the proxy need not
 * keep a list: a context that is made while it runs counts at once. A full credential is 43 characters of base64url,
 * without dots: neither is ever read as the other.
 */
const PREFIX = "fls1";
/** Says what the MAC is of, so that one made with the same key for another purpose is none of ours. */
const PURPOSE = "fairlead local credential v1\0";

/** What a local credential opens. */
export interface LocalGrant {
  /** What its context is kept from; undefined for nothing. */
  scope: Scope | undefined;
}

/**
 * The credential of a context.
 *
 * @param localToken the full credential
 * @param scope what the context is kept from; undefined for nothing
 */
export function localCredential(localToken: string, scope: Scope | undefined): string {
  if (scope === undefined) return localToken;
  const said = Buffer.from(toBinary(ScopeSchema, scope)).toString("base64url");
  return [PREFIX, said, macOf(localToken, said)].join(".");
}

/**
 * Judges a local credential.
 *
 * @param given what a request has
 * @param localToken the full credential
 * @returns undefined if it is none of this proxy's
 */
export function localGrant(given: string, localToken: string): LocalGrant | undefined {
  if (equal(given, localToken)) return { scope: undefined };
  const [prefix, said = "", mac = "", ...more] = given.split(".");
  if (prefix !== PREFIX || more.length > 0 || !equal(mac, macOf(localToken, said))) return undefined;
  return { scope: fromBinary(ScopeSchema, Buffer.from(said, "base64url")) };
}

function macOf(localToken: string, said: string): string {
  return createHmac("sha256", localToken)
    .update(PURPOSE + said)
    .digest("base64url");
}

function equal(a: string, b: string): boolean {
  const [given, wanted] = [Buffer.from(a), Buffer.from(b)];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
