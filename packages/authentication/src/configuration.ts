import type { JSONWebKeySet } from "jose";
import { parse } from "yaml";
import type { Expression } from "./cel/expression.ts";
import { list, section } from "./fields.ts";
import { parseIssuer } from "./parse-issuer.ts";

/** One issuer of tokens, as the configuration file has it, checked. */
export interface IssuerConfiguration {
  /** The `iss` of its tokens, and where its discovery document is. https only. */
  url: string;
  /** Where the discovery document is, if not at `url`. */
  discoveryUrl: string | undefined;
  /** PEM of the authority that signed the issuer's certificate; undefined for the system's. */
  certificateAuthority: string | undefined;
  /** Its keys, where they were handed over: then it is never asked. */
  keys?: JSONWebKeySet;
  /** A token must be for one of these. */
  audiences: string[];
  username: ClaimMapping | Expression;
  groups: ClaimMapping | Expression | undefined;
  uid: ClaimMapping | Expression | undefined;
  /** What becomes the user's extras. */
  extra: ExtraMapping[];
  /** Claims that must have exactly this value. */
  requiredClaims: { claim: string; value: string }[];
  /** What must be true of the claims. */
  claimRules: ExpressionRule[];
  /** What must be true of the user that the mappings made. */
  userRules: ExpressionRule[];
}

/** Which claim becomes a name, and what is put before it. */
export interface ClaimMapping {
  claim: string;
  prefix: string;
}

/** An extra of the user's: its key, and the expression for its values. */
export interface ExtraMapping {
  key: string;
  value: Expression;
}

/** What must be true, and what callers hear if it is not. */
export interface ExpressionRule {
  expression: Expression;
  message: string;
}

/**
 * Parses a file in the shape of Kubernetes' AuthenticationConfiguration (apiserver.config.k8s.io/v1, KEP-3331).
 *
 * @param text YAML
 * @returns the issuers, in order
 * @throws Error that names the field, for anything that is missing, unknown, or not supported: a rule that was
 *   skipped would let tokens through
 */
export function parseAuthenticationConfiguration(text: string): IssuerConfiguration[] {
  const root = section(parse(text), "the file", ["apiVersion", "kind", "jwt"]);
  if (root.kind !== "AuthenticationConfiguration" || root.apiVersion !== "apiserver.config.k8s.io/v1") {
    throw new Error("it is not an AuthenticationConfiguration of apiserver.config.k8s.io/v1");
  }
  const issuers = list(root.jwt, "jwt").map((entry, i) => parseIssuer(entry, `jwt[${i}]`));
  if (issuers.length === 0) throw new Error("jwt: name at least one issuer");
  refuseTwice(
    issuers.map((issuer) => issuer.url),
    "the issuer",
  );
  refuseTwice(
    issuers.flatMap((issuer) => issuer.discoveryUrl ?? []),
    "the discoveryURL",
  );
  return issuers;
}

function refuseTwice(urls: readonly string[], what: string): void {
  const twice = urls.find((url, i) => urls.indexOf(url) !== i);
  if (twice !== undefined) throw new Error(`jwt: ${what} ${twice} is there twice`);
}
