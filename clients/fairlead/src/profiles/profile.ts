import type { FairleadError } from "@fairlead/protocol";
import { misuse } from "../misuse.ts";

/** A relay that is used under a name of the user's own. */
export interface Profile {
  /** `https://HOST[:PORT]`. */
  relay: string;
  /** The file with the authority of its certificate; undefined for the system's. */
  relayCa?: string;
  /** How tokens for it are got; undefined: they are given with each command. */
  login?: Login;
}

/** How tokens are got, without a secret in it. */
export type Login = OpenIdLogin | ClientCredentialsLogin | GithubActionsLogin | AzurePipelinesLogin | TokenFileLogin;

/** An OpenID provider, and what is asked of it. */
export interface OpenIdClient {
  issuer: string;
  clientId: string;
  scopes: string[];
  /** What an access token is asked for (RFC 8707), which counts then; undefined: the ID token counts. */
  resource?: string;
  /** The file with the authority of the issuer's certificate; undefined for the system's. */
  issuerCa?: string;
  /** The file with the client's secret. Some providers give even public clients one. */
  clientSecretFile?: string;
}

/** A person, by browser or device code; renewed by a refresh token. */
export interface OpenIdLogin extends OpenIdClient {
  kind: "openid";
}

/** A machine with a secret of its own (RFC 6749, 4.4). */
export interface ClientCredentialsLogin extends OpenIdClient {
  kind: "client-credentials";
}

/** A job of GitHub Actions. */
export interface GithubActionsLogin {
  kind: "github-actions";
  audience: string;
}

/** A job of Azure Pipelines, by a service connection of the kind workload identity federation. */
export interface AzurePipelinesLogin {
  kind: "azure-pipelines";
  serviceConnection: string;
}

/** A token that somebody else keeps fresh in a file, such as kubelet in a pod. */
export interface TokenFileLogin {
  kind: "token-file";
  file: string;
}

const OPENID_KEYS = ["issuer", "clientId", "scopes", "resource", "issuerCa", "clientSecretFile"];

/** The keys that each kind has beside `kind`; those that it needs come first. */
const KEYS: Record<Login["kind"], { needed: number; keys: readonly string[] }> = {
  openid: { needed: 3, keys: OPENID_KEYS },
  "client-credentials": { needed: 3, keys: OPENID_KEYS },
  "github-actions": { needed: 1, keys: ["audience"] },
  "azure-pipelines": { needed: 1, keys: ["serviceConnection"] },
  "token-file": { needed: 1, keys: ["file"] },
};

/** Tells ways of getting tokens apart: what one of them left is not renewed in another. */
export function loginKey(login: Login): string {
  switch (login.kind) {
    case "openid":
    case "client-credentials":
      return JSON.stringify([login.kind, login.issuer, login.clientId, login.resource ?? ""]);
    case "github-actions":
      return JSON.stringify([login.kind, login.audience]);
    case "azure-pipelines":
      return JSON.stringify([login.kind, login.serviceConnection]);
    case "token-file":
      return JSON.stringify([login.kind, login.file]);
  }
}

/** Reads a profile. @param at where it is, for the error. @throws FairleadError MALFORMED_REQUEST that names the key */
export function parseProfile(value: unknown, at: string): Profile {
  const { relay, relayCa, login } = entriesOf(value, at, ["relay", "relayCa", "login"]);
  const profile: Profile = { relay: text(relay, `${at}.relay`) };
  if (relayCa !== undefined) profile.relayCa = text(relayCa, `${at}.relayCa`);
  if (login !== undefined) profile.login = parseLogin(login, `${at}.login`);
  return profile;
}

function parseLogin(value: unknown, at: string): Login {
  const { kind } = Object(value);
  const shape = typeof kind === "string" && Object.hasOwn(KEYS, kind) ? KEYS[kind as Login["kind"]] : undefined;
  if (shape === undefined) throw wrong(`${at}.kind`, `one of ${Object.keys(KEYS).join(", ")} is due`);
  const entries = entriesOf(value, at, ["kind", ...shape.keys]);
  for (const [i, key] of shape.keys.entries()) {
    const given = entries[key];
    if (given === undefined && i >= shape.needed) continue;
    if (key !== "scopes") text(given, `${at}.${key}`);
    else if (!Array.isArray(given) || !given.every((each) => typeof each === "string")) {
      throw wrong(`${at}.scopes`, "a list of texts is due");
    }
  }
  return entries as unknown as Login;
}

function entriesOf(value: unknown, at: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(at, "a mapping is due");
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw wrong(`${at}.${unknown}`, `not a key (known: ${known.join(", ")})`);
  return { ...value };
}

function text(value: unknown, at: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw wrong(at, "a text is due");
}

function wrong(at: string, due: string): FairleadError {
  return misuse(`${at}: ${due}`);
}
