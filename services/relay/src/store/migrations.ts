import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";

/** The history of the tables, by name in order, for SQLite and PostgreSQL. A migration that was released is never changed. */
export const MIGRATIONS: Record<string, Migration> = {
  "0001-clusters-agents-access-rules": {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema
        .createTable("clusters")
        .addColumn("name", "text", (column) => column.primaryKey())
        .addColumn("labels", "text", (column) => column.notNull())
        .addColumn("created_at_ms", "bigint", (column) => column.notNull())
        .execute();
      await db.schema
        .createTable("agents")
        .addColumn("token_sha256", "text", (column) => column.primaryKey())
        .addColumn("cluster", "text", (column) => column.notNull().references("clusters.name").onDelete("cascade"))
        .addColumn("version", "text", (column) => column.notNull())
        .addColumn("last_seen_at_ms", "bigint")
        .addColumn("created_at_ms", "bigint", (column) => column.notNull())
        .execute();
      await db.schema
        .createTable("access_rules")
        .addColumn("name", "text", (column) => column.primaryKey())
        .addColumn("users", "text", (column) => column.notNull())
        .addColumn("groups", "text", (column) => column.notNull())
        .addColumn("clusters", "text", (column) => column.notNull())
        .addColumn("cluster_labels", "text", (column) => column.notNull())
        .execute();
    },
  },
  "0002-agents-by-cluster": {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema.createIndex("agents_cluster").on("agents").column("cluster").execute();
    },
  },
  "0003-access-rules-narrowed": {
    async up(db: Kysely<unknown>): Promise<void> {
      const rules = () => db.schema.alterTable("access_rules");
      await rules()
        .addColumn("user_prefixes", "text", (column) => column.notNull().defaultTo("[]"))
        .execute();
      await rules()
        .addColumn("read_only", "integer", (column) => column.notNull().defaultTo(0))
        .execute();
      await rules().addColumn("not_before_ms", "bigint").execute();
      await rules().addColumn("expires_at_ms", "bigint").execute();
    },
  },
  // Agents have certificates instead of tokens: each cluster's agent has to join once more.
  "0004-agents-enrolled": {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema.dropTable("agents").execute();
      await db.schema
        .createTable("agents")
        .addColumn("cluster", "text", (column) => column.primaryKey().references("clusters.name").onDelete("cascade"))
        .addColumn("join_id", "text", (column) => column.notNull())
        .addColumn("key", "text", (column) => column.notNull())
        .addColumn("previous_key", "text")
        .addColumn("expires_at_ms", "bigint", (column) => column.notNull())
        .addColumn("cluster_uid", "text", (column) => column.notNull())
        .execute();
      await db.schema.alterTable("clusters").addColumn("last_seen_at_ms", "bigint").execute();
      await db.schema
        .createTable("join_tokens")
        .addColumn("token_sha256", "text", (column) => column.primaryKey())
        .addColumn("cluster", "text", (column) => column.notNull().references("clusters.name").onDelete("cascade"))
        .addColumn("expires_at_ms", "bigint", (column) => column.notNull())
        .addColumn("used_by_key", "text")
        .execute();
      await db.schema.createIndex("join_tokens_cluster").on("join_tokens").column("cluster").execute();
    },
  },
  "0005-service-account-joins": {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema
        .createTable("service_account_joins")
        .addColumn("cluster", "text", (column) => column.primaryKey().references("clusters.name").onDelete("cascade"))
        .addColumn("id", "text", (column) => column.notNull())
        .addColumn("service_account", "text", (column) => column.notNull())
        .addColumn("issuer", "text", (column) => column.notNull())
        .addColumn("jwks", "text")
        .addColumn("certificate_authority", "text")
        .addColumn("audience", "text", (column) => column.notNull().unique())
        .execute();
    },
  },
};
