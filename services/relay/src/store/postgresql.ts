import { readFileSync } from "node:fs";
import { PostgresDialect } from "kysely";
import pg from "pg";

/** How many connections a relay has at most: what it reads for each request it holds in memory. */
const MAX_CONNECTIONS = 8;
/** How long a connection may take, and a statement, in milliseconds: callers wait for it. */
const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;

/**
 * Kysely's dialect for PostgreSQL 12 and newer. Connections that are lost are replaced when the next statement comes.
 *
 * @param url postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full, as libpq has it
 */
export function postgresqlDialect(url: string): PostgresDialect {
  const pool = new pg.Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS + 1_000, // where the server is not heard of at all
    keepAlive: true,
    types: { getTypeParser },
  });
  pool.on("error", () => {}); // an idle connection was lost, such as when the database was started anew
  return new PostgresDialect({ pool });
}

/** Times are milliseconds since the epoch: they fit a number, and pg gives texts for bigint. */
const getTypeParser: typeof pg.types.getTypeParser = (oid, format) =>
  oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format);

/** Reads the URL of a database. @throws Error that never has a part of it, since there is a password in it */
export function readUrl(file: string): string {
  const text = readFileSync(file, "utf8").trim();
  const { protocol } = URL.parse(text) ?? { protocol: "" };
  if (protocol === "postgres:" || protocol === "postgresql:") return text;
  throw new Error(`what is in ${file} is no postgresql:// URL`);
}
