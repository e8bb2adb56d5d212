import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isVersion } from "@fairlead/protocol";
import { splitAddress } from "@fairlead/service";
import { parse } from "yaml";
import type { AuthorityFiles } from "./enrolment/agent-authority.ts";
import { DEFAULT_LIMITS, type Limits, limitsOf } from "./limits/limits.ts";
import type { DatabaseConfig } from "./store/store.ts";

/** The relay's configuration, checked. Paths are absolute. */
export interface RelayConfig {
  listen: { host: string; port: number };
  tls: { certFile: string; keyFile: string };
  database: DatabaseConfig;
  /** The AuthenticationConfiguration file: whose tokens count. */
  authentication: string;
  administrators: { users: string[]; groups: string[] };
  agents: AgentsConfig;
  /** Who is told of each change of a cluster's state; undefined: nobody. */
  webhook: WebhookConfig | undefined;
  limits: Limits;
  oldestVersions: OldestVersions;
  /** How people get a token; undefined: clients are told nothing of it. */
  login: LoginConfig | undefined;
  direct: DirectConfig;
}

/** Where clusters can be reached without a client proxy. */
export interface DirectConfig {
  enabled: boolean;
  /** Whose names CLUSTER.DOMAIN lead to the relay, in lower case; undefined: by a path alone. */
  domain: string | undefined;
  /** The port there; undefined: that of HTTPS. */
  port: number | undefined;
}

/** How people get a token: the relay tells clients, and has no part in it. */
export interface LoginConfig {
  issuer: string;
  clientId: string;
  scopes: string[];
  /** What an access token is asked for; empty: the ID token counts. */
  resource: string;
}

/** What most providers need to give an ID token with a name and groups, and a refresh token. */
const DEFAULT_SCOPES = ["openid", "profile", "email", "offline_access"];

/** What agents attach with. */
export interface AgentsConfig {
  /** The authority of their certificates. */
  authority: AuthorityFiles;
  /** How long their certificates last, in milliseconds. */
  certificateLifetimeMs: number;
}

/** Who is told of changes. */
export interface WebhookConfig {
  url: string;
  /** The file with the secret that signatures are made with. */
  secretFile: string;
}

/** The oldest versions that are supported; empty: any. */
export interface OldestVersions {
  client: string;
  agent: string;
}

/** Longest and shortest life of an agent's certificate, in seconds. */
const [SHORTEST_LIFE, LONGEST_LIFE] = [5, 24 * 60 * 60];

/**
 * Reads the relay's configuration file.
 *
 * @param file a YAML file; paths in it are relative to its folder
 * @throws Error that names the key that is missing or wrong
 */
export async function readRelayConfig(file: string): Promise<RelayConfig> {
  try {
    return parseRelayConfig(await readFile(file, "utf8"), dirname(file));
  } catch (cause) {
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

function parseRelayConfig(yaml: string, folder: string): RelayConfig {
  const keys = [
    ...["listen", "tls", "database", "authentication", "administrators", "agents", "webhook", "limits"],
    ...["oldestVersions", "login", "direct"],
  ];
  const root = mapping(parse(yaml), "the file", keys);
  const path = (value: unknown, at: string): string => resolve(folder, text(value, at));
  const [host, port] = address(text(root.listen, "listen"), "listen");
  const tls = mapping(root.tls, "tls", ["certFile", "keyFile"]);
  const administrators = mapping(root.administrators ?? {}, "administrators", ["users", "groups"]);
  const database = databaseConfig(root.database, path);
  return {
    listen: { host, port },
    tls: { certFile: path(tls.certFile, "tls.certFile"), keyFile: path(tls.keyFile, "tls.keyFile") },
    database,
    authentication: path(root.authentication, "authentication"),
    administrators: {
      users: texts(administrators.users, "administrators.users"),
      groups: texts(administrators.groups, "administrators.groups"),
    },
    agents: agentsConfig(root.agents ?? {}, database, path),
    webhook: root.webhook === undefined ? undefined : webhookConfig(root.webhook, path),
    limits: limitsOf(mapping(root.limits ?? {}, "limits", Object.keys(DEFAULT_LIMITS))),
    oldestVersions: oldestVersions(root.oldestVersions ?? {}),
    login: root.login === undefined ? undefined : loginConfig(root.login),
    direct: directConfig(root.direct ?? {}),
  };
}

type PathOf = (value: unknown, at: string) => string;

/** The URL of a PostgreSQL database has a password in it: it is in a file of its own. */
function databaseConfig(value: unknown, path: PathOf): DatabaseConfig {
  if (typeof value !== "object" || value === null) return { kind: "sqlite", file: path(value, "database") };
  const { urlFile } = mapping(value, "database", ["urlFile"]);
  return { kind: "postgresql", urlFile: path(urlFile, "database.urlFile") };
}

/** Without an authority of its own, it is kept beside the database, and made at the first start. */
function agentsConfig(value: unknown, database: DatabaseConfig, path: PathOf): AgentsConfig {
  const agents = mapping(value, "agents", ["certFile", "keyFile", "certificateSeconds"]);
  if (database.kind === "postgresql" && agents.certFile === undefined) {
    throw new Error("agents: certFile and keyFile are due with PostgreSQL: whatever relay comes next needs the same");
  }
  const beside = database.kind === "sqlite" ? database.file : "";
  const { certFile = `${beside}-agents.crt`, keyFile = `${beside}-agents.key` } = agents;
  if ((agents.certFile === undefined) !== (agents.keyFile === undefined)) {
    throw new Error("agents: certFile and keyFile go together");
  }
  const { certificateSeconds: seconds = LONGEST_LIFE } = agents;
  if (!Number.isInteger(seconds) || Number(seconds) < SHORTEST_LIFE || Number(seconds) > LONGEST_LIFE) {
    throw new Error(`agents.certificateSeconds: a number from ${SHORTEST_LIFE} to ${LONGEST_LIFE} is due`);
  }
  return {
    authority: { certFile: path(certFile, "agents.certFile"), keyFile: path(keyFile, "agents.keyFile") },
    certificateLifetimeMs: Number(seconds) * 1_000,
  };
}

/** Over plain HTTP anybody on the way could read it and, once, send it again. */
function webhookConfig(value: unknown, path: (value: unknown, at: string) => string): WebhookConfig {
  const webhook = mapping(value, "webhook", ["url", "secretFile"]);
  const url = text(webhook.url, "webhook.url");
  const { protocol, hostname } = URL.parse(url) ?? { protocol: "", hostname: "" };
  const isLoopback = protocol === "http:" && hostname === "127.0.0.1";
  if (protocol !== "https:" && !isLoopback) throw new Error("webhook.url: an https:// address is due");
  return { url, secretFile: path(webhook.secretFile, "webhook.secretFile") };
}

function oldestVersions(value: unknown): OldestVersions {
  const { client = "", agent = "" } = mapping(value, "oldestVersions", ["client", "agent"]);
  const version = (text: unknown, at: string): string => {
    if (text === "" || (typeof text === "string" && isVersion(text))) return text;
    throw new Error(`oldestVersions.${at}: a version such as 0.1.0 is due`);
  };
  return { client: version(client, "client"), agent: version(agent, "agent") };
}

function loginConfig(value: unknown): LoginConfig {
  const {
    issuer,
    clientId,
    scopes = DEFAULT_SCOPES,
    resource = "",
  } = mapping(value, "login", [...["issuer", "clientId", "scopes", "resource"]]);
  const url = text(issuer, "login.issuer");
  if (URL.parse(url)?.protocol !== "https:") throw new Error("login.issuer: an https:// address is due");
  return {
    issuer: url,
    clientId: text(clientId, "login.clientId"),
    scopes: texts(scopes, "login.scopes"),
    resource: resource === "" ? "" : text(resource, "login.resource"),
  };
}

/** A domain is DNS labels; with the longest name of a cluster and a dot before it, it has to stay a name (RFC 1123). */
const DOMAIN =
  /^(?=.{1,189}(:|$))([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:\d{1,5})?$/;

function directConfig(value: unknown): DirectConfig {
  const { enabled = true, domain } = mapping(value, "direct", ["enabled", "domain"]);
  if (typeof enabled !== "boolean") throw new Error("direct.enabled: true or false is due");
  if (domain === undefined) return { enabled, domain: undefined, port: undefined };
  const [name = "", port] = text(domain, "direct.domain").toLowerCase().split(":");
  if (!DOMAIN.test(text(domain, "direct.domain").toLowerCase()) || Number(port ?? 443) > 65_535) {
    throw new Error("direct.domain: a domain such as clusters.example.com is due, with :PORT where it is not 443");
  }
  return { enabled, domain: name, port: port === undefined ? undefined : Number(port) };
}

function mapping(value: unknown, at: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${at}: a mapping is due`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new Error(`${at}.${unknown}: not a key (known: ${known.join(", ")})`);
  return { ...value };
}

function address(value: string, at: string): [host: string, port: number] {
  try {
    return splitAddress(value);
  } catch (cause) {
    throw new Error(`${at}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

function text(value: unknown, at: string): string {
  if (typeof value !== "string" || value === "") throw new Error(`${at}: a text is due`);
  return value;
}

function texts(value: unknown, at: string): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new Error(`${at}: a list is due`);
  return value.map((entry) => text(entry, at));
}
