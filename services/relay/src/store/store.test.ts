import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { MIGRATIONS } from "./migrations.ts";
import { openStore, type Store } from "./store.ts";

let folder: string;
let file: string;
const stores: Store[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  file = join(folder, "relay.sqlite");
});

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.destroy()));
  await rm(folder, { recursive: true });
});

async function open(path = file): Promise<Store> {
  const store = await openStore({ kind: "sqlite", file: path });
  stores.push(store);
  return store;
}

const CLUSTER = { name: "prod-eu1", labels: '{"env":"prod"}', created_at_ms: 1_700_000_000_123, last_seen_at_ms: null };
const AGENT = { cluster: "prod-eu1", join_id: "1", key: "k", previous_key: null, expires_at_ms: 1, cluster_uid: "" };

async function tables(store: Store): Promise<string[]> {
  const found = await sql<{ name: string }>`select name from sqlite_master where type = 'table'`.execute(store);
  return found.rows.map(({ name }) => name).sort();
}

describe("the relay's database", () => {
  it("gets its tables when it is opened for the first time", async () => {
    expect(await tables(await open())).toEqual([
      "access_rules",
      "agents",
      "clusters",
      "join_tokens",
      "kysely_migration",
      "kysely_migration_lock",
      "service_account_joins",
    ]);
  });

  it("keeps what was written when it is opened again, and migrates no second time", async () => {
    const store = await open();
    await store.insertInto("clusters").values(CLUSTER).execute();
    await stores.pop()?.destroy();
    const again = await open();
    expect(await again.selectFrom("clusters").selectAll().execute()).toEqual([CLUSTER]);
    const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(again);
    expect(rows.map(({ name }) => name)).toEqual(Object.keys(MIGRATIONS));
  });

  it("takes a rule of an older relay for what it was: for all, at once and without end", async () => {
    const old = await open();
    const columns = ["user_prefixes", "read_only", "not_before_ms", "expires_at_ms"];
    for (const column of columns) await sql`alter table access_rules drop column ${sql.ref(column)}`.execute(old);
    await sql`drop table join_tokens`.execute(old);
    await sql`drop table service_account_joins`.execute(old);
    await sql`alter table clusters drop column last_seen_at_ms`.execute(old);
    await sql`delete from kysely_migration where name >= '0003'`.execute(old);
    await sql`insert into access_rules values ('dev', '["jane"]', '[]', '["*"]', '{}')`.execute(old);
    await stores.pop()?.destroy();
    const [rule] = await (await open()).selectFrom("access_rules").selectAll().execute();
    expect(rule).toMatchObject({ name: "dev", users: '["jane"]', user_prefixes: "[]", read_only: 0 });
    expect([rule?.not_before_ms, rule?.expires_at_ms]).toEqual([null, null]);
  });

  it("is for the relay's own user only: all of its files are 0600", async () => {
    const store = await open();
    await store.insertInto("clusters").values(CLUSTER).execute();
    const files = await readdir(folder);
    expect(files.sort()).toEqual(["relay.sqlite", "relay.sqlite-shm", "relay.sqlite-wal"]);
    for (const name of files) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  });

  it("leaves the process's umask as it was", async () => {
    const before = process.umask();
    await open();
    expect(process.umask()).toBe(before);
  });

  it("removes an agent with its cluster", async () => {
    const store = await open();
    await store.insertInto("clusters").values(CLUSTER).execute();
    await store.insertInto("agents").values(AGENT).execute();
    await store.deleteFrom("clusters").where("name", "=", "prod-eu1").execute();
    expect(await store.selectFrom("agents").selectAll().execute()).toEqual([]);
  });

  it.each([
    "delete from clusters where name = 'x'",
    "update agents set key = '' where cluster = 'x'",
    "select * from service_account_joins where audience = 'x'", // before anybody is authenticated
  ])("reads no table from end to end for: %s", async (statement) => {
    const plan = await sql<{ detail: string }>`explain query plan ${sql.raw(statement)}`.execute(await open());
    const steps = plan.rows.map(({ detail }) => detail);
    expect(steps.length).toBeGreaterThan(0);
    for (const step of steps) expect(step).toMatch(/^SEARCH /);
  });

  it("takes no agent of a cluster that is not there", async () => {
    const store = await open();
    await expect(store.insertInto("agents").values(AGENT).execute()).rejects.toThrow(/FOREIGN KEY/);
  });

  it("keeps nothing of a transaction that failed", async () => {
    const store = await open();
    const failed = store.transaction().execute(async (transaction) => {
      await transaction.insertInto("clusters").values(CLUSTER).execute();
      throw new Error("in the middle");
    });
    await expect(failed).rejects.toThrow("in the middle");
    expect(await store.selectFrom("clusters").selectAll().execute()).toEqual([]);
  });

  it("takes values as values: a quote ends nothing", async () => {
    const store = await open();
    const name = `a'; drop table clusters; --`;
    await store
      .insertInto("clusters")
      .values({ ...CLUSTER, name })
      .execute();
    expect(await store.selectFrom("clusters").select("name").where("name", "=", name).execute()).toEqual([{ name }]);
  });

  it("refuses a value that SQLite has no type for", async () => {
    const store = await open();
    const values = { ...CLUSTER, labels: { env: "prod" } as unknown as string };
    await expect(store.insertInto("clusters").values(values).execute()).rejects.toThrow(/object cannot be a parameter/);
  });

  it("streams rows, and says how many were changed", async () => {
    const store = await open();
    for (const name of ["a", "b", "c"])
      await store
        .insertInto("clusters")
        .values({ ...CLUSTER, name })
        .execute();
    const names: string[] = [];
    for await (const { name } of store.selectFrom("clusters").select("name").orderBy("name").stream()) names.push(name);
    expect(names).toEqual(["a", "b", "c"]);
    const deleted = await store.deleteFrom("clusters").where("name", "!=", "a").executeTakeFirst();
    expect(deleted.numDeletedRows).toBe(2n);
  });

  it("needs no file for a trial", async () => {
    expect(await tables(await open(":memory:"))).toContain("clusters");
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("a database that cannot be used", () => {
  it.each(["", "mysql://relay:canary-7f3a@localhost/relay", "relay.sqlite"])(
    "is named by %j, which is no URL of PostgreSQL, and is not told",
    async (text) => {
      const urlFile = join(folder, "url");
      await writeFile(urlFile, text);
      const opening = openStore({ kind: "postgresql", urlFile });
      await expect(opening).rejects.toThrow(/^what is in \S+url is no postgresql:\/\/ URL$/);
    },
  );

  it("is PostgreSQL's and is not there", async () => {
    const urlFile = join(folder, "url");
    await writeFile(urlFile, "postgresql://relay:canary-7f3a@127.0.0.1:1/relay\n");
    const opening = openStore({ kind: "postgresql", urlFile });
    await expect(opening).rejects.toThrow(/^the database that \S+url leads to cannot be migrated$/);
  });

  it("is of a newer relay: it is refused, not written to", async () => {
    const store = await open();
    await sql`insert into kysely_migration (name, timestamp) values ('9999-from-the-future', '')`.execute(store);
    await expect(open()).rejects.toThrow(/cannot be migrated/);
  });

  it("is no database", async () => {
    await writeFile(file, "this is a text and not a database, and it is long enough to be read as a header of one");
    await expect(open()).rejects.toThrow(/not a database/);
  });

  it("lies in a folder that is not there", async () => {
    await expect(open(join(folder, "missing", "relay.sqlite"))).rejects.toThrow(/unable to open database file/);
  });

  it("keeps its mode when it was there before, as its owner set it", async () => {
    await writeFile(file, "");
    await chmod(file, 0o640);
    await open();
    expect((await stat(file)).mode & 0o777).toBe(0o640);
  });
});
