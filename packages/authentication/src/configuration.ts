import { readFile } from "node:fs/promises";
import { parse } from "yaml";

/** One issuer of tokens, as the configuration file has it, checked. */
export interface IssuerConfiguration {
  /** The `iss` of its tokens, and where its discovery document is. https only. */
  url: string;
  /** Where the discovery document is, if not at `url`. */
  discoveryUrl: string | undefined;
  /** PEM of the authority that signed the issuer's certificate; undefined for the system's. */
  certificateAuthority: string | undefined;
  /** A token must be for one of these. */
  audiences: string[];
  username: ClaimMapping;
  groups: ClaimMapping | undefined;
  /** The claim that becomes the impersonated uid. */
  uidClaim: string | undefined;
  /** Claims that must have exactly this value. */
  requiredClaims: { claim: string; value: string }[];
}

/** Which claim becomes a name, and what is put before it. */
export interface ClaimMapping {
  claim: string;
  prefix: string;
}

/**
 * Reads a file in the shape of Kubernetes' AuthenticationConfiguration (apiserver.config.k8s.io/v1, KEP-3331).
 *
 * @param file the path of the YAML file
 * @returns the issuers, in order
 * @throws Error that names the field, for anything that is missing, unknown, or not supported: a rule that was
 *   skipped would let tokens through
 */
export async function readAuthenticationConfiguration(file: string): Promise<IssuerConfiguration[]> {
  try {
    return parseAuthenticationConfiguration(await readFile(file, "utf8"));
  } catch (cause) {
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** Parses the text of such a file. See {@link readAuthenticationConfiguration}. */
export function parseAuthenticationConfiguration(text: string): IssuerConfiguration[] {
  const root = section(parse(text), "the file", ["apiVersion", "kind", "jwt"]);
  if (root.kind !== "AuthenticationConfiguration" || root.apiVersion !== "apiserver.config.k8s.io/v1") {
    throw new Error("it is not an AuthenticationConfiguration of apiserver.config.k8s.io/v1");
  }
  const issuers = list(root.jwt, "jwt").map((entry, i) => parseIssuer(entry, `jwt[${i}]`));
  if (issuers.length === 0) throw new Error("jwt: name at least one issuer");
  const urls = issuers.map((issuer) => issuer.url);
  const twice = urls.find((url, i) => urls.indexOf(url) !== i);
  if (twice !== undefined) throw new Error(`jwt: the issuer ${twice} is there twice`);
  return issuers;
}

function parseIssuer(value: unknown, at: string): IssuerConfiguration {
  const entry = section(value, at, ["issuer", "claimMappings", "claimValidationRules"]);
  const issuer = section(entry.issuer, `${at}.issuer`, [
    "url",
    "discoveryURL",
    "certificateAuthority",
    "audiences",
    "audienceMatchPolicy",
  ]);
  const mappings = section(entry.claimMappings, `${at}.claimMappings`, ["username", "groups", "uid"]);
  const policy = issuer.audienceMatchPolicy;
  if (policy !== undefined && policy !== "" && policy !== "MatchAny") {
    throw new Error(`${at}.issuer.audienceMatchPolicy: the only policy is MatchAny`);
  }
  const audiences = list(issuer.audiences, `${at}.issuer.audiences`).map((a) => text(a, `${at}.issuer.audiences`));
  if (audiences.length === 0) throw new Error(`${at}.issuer.audiences: name at least one`);
  return {
    url: httpsUrl(issuer.url, `${at}.issuer.url`),
    discoveryUrl:
      issuer.discoveryURL === undefined ? undefined : httpsUrl(issuer.discoveryURL, `${at}.issuer.discoveryURL`),
    certificateAuthority: optionalText(issuer.certificateAuthority, `${at}.issuer.certificateAuthority`),
    audiences,
    username: claimMapping(mappings.username, `${at}.claimMappings.username`),
    groups: mappings.groups === undefined ? undefined : claimMapping(mappings.groups, `${at}.claimMappings.groups`),
    uidClaim: mappings.uid === undefined ? undefined : claimOf(mappings.uid, `${at}.claimMappings.uid`),
    requiredClaims: list(entry.claimValidationRules ?? [], `${at}.claimValidationRules`).map((rule, i) => {
      const where = `${at}.claimValidationRules[${i}]`;
      const { claim, requiredValue } = section(rule, where, ["claim", "requiredValue"]);
      return { claim: text(claim, `${where}.claim`), value: text(requiredValue, `${where}.requiredValue`) };
    }),
  };
}

/** Kubernetes wants a prefix to be said, be it the empty one, so that nobody gets bare names by leaving it out. */
function claimMapping(value: unknown, at: string): ClaimMapping {
  const { claim, prefix } = section(value, at, ["claim", "prefix"]);
  if (typeof prefix !== "string") throw new Error(`${at}.prefix: say which, or "" for none`);
  return { claim: text(claim, `${at}.claim`), prefix };
}

function claimOf(value: unknown, at: string): string {
  return text(section(value, at, ["claim"]).claim, `${at}.claim`);
}

function section(value: unknown, at: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${at}: a mapping is due`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new Error(`${at}.${unknown}: not supported (known: ${known.join(", ")})`);
  return { ...value };
}

function list(value: unknown, at: string): unknown[] {
  if (!Array.isArray(value)) throw new Error(`${at}: a list is due`);
  return value;
}

function text(value: unknown, at: string): string {
  if (typeof value !== "string" || value === "") throw new Error(`${at}: a text is due`);
  return value;
}

function optionalText(value: unknown, at: string): string | undefined {
  return value === undefined ? undefined : text(value, at);
}

function httpsUrl(value: unknown, at: string): string {
  const url = text(value, at);
  if (!URL.canParse(url) || new URL(url).protocol !== "https:") throw new Error(`${at}: an https:// URL is due`);
  return url;
}
