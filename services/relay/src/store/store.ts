import { Kysely } from "kysely";
import { Migrator } from "kysely/migration";
import { MIGRATIONS } from "./migrations.ts";
import { nodeSqliteDialect } from "./node-sqlite.ts";
import { postgresqlDialect, readUrl } from "./postgresql.ts";

/** The relay's tables. Maps and lists are JSON text; times are milliseconds since the epoch. */
export interface Tables {
  clusters: { name: string; labels: string; created_at_ms: number; last_seen_at_ms: number | null };
  agents: {
    cluster: string;
    join_id: string;
    key: string;
    previous_key: string | null;
    expires_at_ms: number;
    cluster_uid: string;
  };
  join_tokens: { token_sha256: string; cluster: string; expires_at_ms: number; used_by_key: string | null };
  service_account_joins: {
    cluster: string;
    /** Another for each time that it was registered. */
    id: string;
    /** NAMESPACE/NAME. */
    service_account: string;
    issuer: string;
    jwks: string | null;
    certificate_authority: string | null;
    audience: string;
  };
  access_rules: {
    name: string;
    users: string;
    user_prefixes: string;
    groups: string;
    clusters: string;
    cluster_labels: string;
    /** 0 or 1. */
    read_only: number;
    not_before_ms: number | null;
    expires_at_ms: number | null;
  };
}

/** The relay's database. */
export type Store = Kysely<Tables>;

/** Where the relay's database is: a file of SQLite's, or a file with the URL of a PostgreSQL database. */
export type DatabaseConfig = { kind: "sqlite"; file: string } | { kind: "postgresql"; urlFile: string };

/**
 * Opens the relay's database and brings its tables up to date. Several relays that do so at once wait for each other.
 *
 * @throws Error if it cannot be opened or a migration fails; then nothing of it was kept
 */
export async function openStore(database: DatabaseConfig): Promise<Store> {
  const isFile = database.kind === "sqlite";
  const dialect = isFile ? nodeSqliteDialect(database.file) : postgresqlDialect(readUrl(database.urlFile));
  const store = new Kysely<Tables>({ dialect });
  const migrator = new Migrator({ db: store, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (!error) return store;
  await store.destroy();
  const name = isFile ? database.file : `that ${database.urlFile} leads to`;
  throw new Error(`the database ${name} cannot be migrated`, { cause: error });
}
