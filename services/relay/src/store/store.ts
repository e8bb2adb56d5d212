import { Kysely } from "kysely";
import { Migrator } from "kysely/migration";
import { MIGRATIONS } from "./migrations.ts";
import { nodeSqliteDialect } from "./node-sqlite.ts";

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

/**
 * Opens the relay's database and brings its tables up to date.
 *
 * @param file the SQLite file
 * @throws Error if a migration fails; then nothing of it was kept
 */
export async function openStore(file: string): Promise<Store> {
  const store = new Kysely<Tables>({ dialect: nodeSqliteDialect(file) });
  const migrator = new Migrator({ db: store, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (error) throw new Error(`the database ${file} cannot be migrated`, { cause: error });
  return store;
}
