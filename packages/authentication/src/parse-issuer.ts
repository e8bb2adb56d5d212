import { Expression, type ResultType, type Scope } from "./cel/expression.ts";
import type { ClaimMapping, ExpressionRule, ExtraMapping, IssuerConfiguration } from "./configuration.ts";
import { certificate, list, optionalText, plainUrl, section, text } from "./fields.ts";

/** Extras' keys: a domain, a slash and a path, in lower case; the domain is nobody else's. */
const EXTRA_KEY = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+\/[a-z0-9._~!$&'()*+,;=:@/-]+$/;
const OTHERS_KEY = /^([^/]*\.)?(kubernetes\.io|k8s\.io|fairlead\.dev)\//;
const MAX_EXTRA_KEY_CHARACTERS = 253;

/**
 * Reads an entry of `jwt`.
 *
 * @param at where it is, for errors
 * @throws Error that names the field
 */
export function parseIssuer(value: unknown, at: string): IssuerConfiguration {
  const entry = section(value, at, ["issuer", "claimMappings", "claimValidationRules", "userValidationRules"]);
  const mappings = section(entry.claimMappings, `${at}.claimMappings`, ["username", "groups", "uid", "extra"]);
  const rules = list(entry.claimValidationRules ?? [], `${at}.claimValidationRules`);
  const parsed = {
    ...parseIssuerSection(entry.issuer, `${at}.issuer`),
    username: mapping(mappings.username, `${at}.claimMappings.username`, "text"),
    groups: mappings.groups === undefined ? undefined : mapping(mappings.groups, `${at}.claimMappings.groups`, "texts"),
    uid: mappings.uid === undefined ? undefined : uidMapping(mappings.uid, `${at}.claimMappings.uid`),
    extra: extras(mappings.extra, `${at}.claimMappings.extra`),
    requiredClaims: rules.flatMap((rule, i) => requiredClaim(rule, `${at}.claimValidationRules[${i}]`)),
    claimRules: rules.flatMap((rule, i) => expressionRule(rule, `${at}.claimValidationRules[${i}]`, "claims")),
    userRules: list(entry.userValidationRules ?? [], `${at}.userValidationRules`).flatMap((rule, i) =>
      expressionRule(rule, `${at}.userValidationRules[${i}]`, "user"),
    ),
  };
  checkVerifiedEmail(parsed, `${at}.claimMappings.username.expression`);
  return parsed;
}

function parseIssuerSection(value: unknown, at: string) {
  const known = ["url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy"];
  const issuer = section(value, at, known);
  const url = plainUrl(issuer.url, `${at}.url`);
  const discoveryUrl =
    issuer.discoveryURL === undefined ? undefined : plainUrl(issuer.discoveryURL, `${at}.discoveryURL`);
  if (discoveryUrl === url) throw new Error(`${at}.discoveryURL: leave it out, or say where the document itself is`);
  const { certificateAuthority } = issuer;
  return {
    url,
    discoveryUrl,
    certificateAuthority:
      certificateAuthority === undefined ? undefined : certificate(certificateAuthority, `${at}.certificateAuthority`),
    audiences: audiences(issuer, at),
  };
}

/** As Kubernetes: with several audiences, the file says that any of them will do. */
function audiences({ audiences, audienceMatchPolicy: policy }: Record<string, unknown>, at: string): string[] {
  const parsed = list(audiences, `${at}.audiences`).map((audience) => text(audience, `${at}.audiences`));
  if (parsed.length === 0) throw new Error(`${at}.audiences: name at least one`);
  const isOne = parsed.length === 1 && (policy === undefined || policy === "");
  if (!isOne && policy !== "MatchAny") {
    throw new Error(`${at}.audienceMatchPolicy: the only policy is MatchAny; with several audiences it must be said`);
  }
  return parsed;
}

/** Kubernetes wants a prefix to be said, be it the empty one, so that nobody gets bare names by leaving it out. */
function mapping(value: unknown, at: string, due: ResultType): ClaimMapping | Expression {
  const { claim, prefix, expression } = section(value, at, ["claim", "prefix", "expression"]);
  if (expression !== undefined) {
    if (claim !== undefined || prefix !== undefined) throw new Error(`${at}.expression: not beside claim and prefix`);
    return compiled(expression, `${at}.expression`, "claims", due);
  }
  if (typeof prefix !== "string") throw new Error(`${at}.prefix: say which, or "" for none`);
  return { claim: text(claim, `${at}.claim`), prefix };
}

function uidMapping(value: unknown, at: string): ClaimMapping | Expression {
  const { claim, expression } = section(value, at, ["claim", "expression"]);
  return mapping(expression === undefined ? { claim, prefix: "" } : { claim, expression }, at, "text");
}

function extras(value: unknown, at: string): ExtraMapping[] {
  const parsed = list(value ?? [], at).map((entry, i) => {
    const { key, valueExpression } = section(entry, `${at}[${i}]`, ["key", "valueExpression"]);
    return {
      key: extraKey(key, `${at}[${i}].key`),
      value: compiled(valueExpression, `${at}[${i}].valueExpression`, "claims", "texts"),
    };
  });
  const keys = parsed.map(({ key }) => key);
  const twice = keys.find((key, i) => keys.indexOf(key) !== i);
  if (twice !== undefined) throw new Error(`${at}: the key ${twice} is there twice`);
  return parsed;
}

function extraKey(value: unknown, at: string): string {
  const key = text(value, at);
  if (key.length > MAX_EXTRA_KEY_CHARACTERS || !EXTRA_KEY.test(key)) {
    throw new Error(`${at}: DOMAIN/PATH in lower case is due, such as example.com/team`);
  }
  if (OTHERS_KEY.test(key)) throw new Error(`${at}: the domains kubernetes.io, k8s.io and fairlead.dev are not yours`);
  return key;
}

function requiredClaim(rule: unknown, at: string): { claim: string; value: string }[] {
  const { claim, requiredValue, expression } = section(rule, at, ["claim", "requiredValue", "expression", "message"]);
  if (expression !== undefined) return [];
  return [{ claim: text(claim, `${at}.claim`), value: text(requiredValue, `${at}.requiredValue`) }];
}

function expressionRule(rule: unknown, at: string, scope: Scope): ExpressionRule[] {
  const known = scope === "user" ? ["expression", "message"] : ["claim", "requiredValue", "expression", "message"];
  const { claim, requiredValue, expression, message } = section(rule, at, known);
  if (expression === undefined && scope === "claims") {
    if (message !== undefined) throw new Error(`${at}.message: only beside an expression`);
    return [];
  }
  if (claim !== undefined || requiredValue !== undefined) {
    throw new Error(`${at}.expression: not beside claim and requiredValue`);
  }
  const compiledRule = compiled(expression, `${at}.expression`, scope, "bool");
  const said = optionalText(message, `${at}.message`) ?? `it does not keep the rule ${compiledRule.text}`;
  return [{ expression: compiledRule, message: said }];
}

/** As Kubernetes: who names people by `claims.email` says in an expression what `email_verified` must be. */
function checkVerifiedEmail({ username, extra, claimRules }: IssuerConfiguration, at: string): void {
  if (!(username instanceof Expression) || !username.claims.has("email")) return;
  const all = [username, ...extra.map(({ value }) => value), ...claimRules.map(({ expression }) => expression)];
  if (all.some(({ claims }) => claims.has("email_verified"))) return;
  throw new Error(`${at}: it uses claims.email, so some expression must use claims.email_verified`);
}

function compiled(value: unknown, at: string, scope: Scope, due: ResultType): Expression {
  try {
    return new Expression(text(value, at), scope, due);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(reason.startsWith(at) ? reason : `${at}: ${reason}`, { cause });
  }
}
