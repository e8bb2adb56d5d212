import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { splitAddress } from "@fairlead/service";
import { parse } from "yaml";

/** The relay's configuration, checked. Paths are absolute. */
export interface RelayConfig {
  listen: { host: string; port: number };
  tls: { certFile: string; keyFile: string };
  /** The SQLite file. */
  database: string;
  /** The AuthenticationConfiguration file: whose tokens count. */
  authentication: string;
  administrators: { users: string[]; groups: string[] };
}

const KEYS = ["listen", "tls", "database", "authentication", "administrators"];

/**
 * Reads the relay's configuration file.
 *
 * @param file a YAML file; paths in it are relative to its folder
 * @throws Error that names the key that is missing or wrong
 */
export async function readRelayConfig(file: string): Promise<RelayConfig> {
  const root = mapping(parse(await readFile(file, "utf8")), "the file");
  const unknown = Object.keys(root).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new Error(`${file}: ${unknown} is not a key (known: ${KEYS.join(", ")})`);
  const path = (value: unknown, at: string): string => resolve(dirname(file), text(value, at));
  const [host, port] = splitAddress(text(root.listen, "listen"));
  const tls = mapping(root.tls, "tls");
  const administrators = mapping(root.administrators ?? {}, "administrators");
  return {
    listen: { host, port },
    tls: { certFile: path(tls.certFile, "tls.certFile"), keyFile: path(tls.keyFile, "tls.keyFile") },
    database: path(root.database, "database"),
    authentication: path(root.authentication, "authentication"),
    administrators: {
      users: texts(administrators.users, "administrators.users"),
      groups: texts(administrators.groups, "administrators.groups"),
    },
  };
}

function mapping(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${at}: a mapping is due`);
  return { ...value };
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
