import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { JoinTokens } from "../enrolment/join-tokens.ts";
import { openStore, type Store } from "../store/store.ts";
import { Clusters, clusterUnknown } from "./clusters.ts";

let store: Store;
let clusters: Clusters;

beforeEach(async () => {
  store = await openStore({ kind: "sqlite", file: ":memory:" });
  clusters = await Clusters.load(store);
});

afterEach(() => store.destroy());

/** All that the database has, as text. */
async function everything(): Promise<string> {
  const tables = ["clusters", "agents", "join_tokens", "service_account_joins", "access_rules"] as const;
  return JSON.stringify(await Promise.all(tables.map((table) => store.selectFrom(table).selectAll().execute())));
}

describe("a cluster", () => {
  it.each(["a", "0", "prod-eu1", "a-b-c", "1".repeat(63)])("may be named %j", async (name) => {
    expect((await clusters.create(name, {})).name).toBe(name);
    expect(clusters.get(name)).toBeDefined();
  });

  it.each([
    "",
    "-a",
    "a-",
    "-",
    "A",
    "prod_eu1",
    "prod.eu1",
    "a b",
    " a",
    "a\n",
    "a\0",
    "../etc",
    "a/b",
    "é",
    "*",
    "1".repeat(64),
    "__proto__",
  ])("may not be named %j", async (name) => {
    await expect(clusters.create(name, {})).rejects.toMatchObject({
      code: ErrorCode.MALFORMED_REQUEST,
      hop: Hop.RELAY,
      message: expect.stringMatching(/such as prod-eu1/),
    });
    expect(clusters.list()).toEqual([]);
    expect(await store.selectFrom("clusters").selectAll().execute()).toEqual([]);
  });

  it("has its name alone, and stays as it was", async () => {
    await clusters.create("prod-eu1", {});
    await expect(clusters.create("prod-eu1", { env: "x" })).rejects.toMatchObject({ code: ErrorCode.ALREADY_EXISTS });
    expect(clusters.get("prod-eu1")?.labels).toEqual({});
  });

  it("is made once when it is asked for twice at the same instant", async () => {
    const made = await Promise.allSettled([1, 2, 3].map(() => clusters.create("prod-eu1", {})));
    expect(made.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
    for (const outcome of made) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: ErrorCode.ALREADY_EXISTS });
    }
    expect(await store.selectFrom("clusters").selectAll().execute()).toHaveLength(1);
  });

  it("is listed by name with its labels", async () => {
    await clusters.create("b", { env: "prod", "example.com/tier": "" });
    await clusters.create("a", {});
    expect(clusters.list()).toEqual([
      { name: "a", labels: {}, lastSeenAtMs: undefined },
      { name: "b", labels: { env: "prod", "example.com/tier": "" }, lastSeenAtMs: undefined },
    ]);
  });

  it("is there again when the relay starts again, and when it was last seen", async () => {
    await clusters.create("prod-eu1", { env: "prod" });
    await clusters.seen("prod-eu1");
    const again = await Clusters.load(store);
    expect(again.list()).toEqual(clusters.list());
    expect(Math.abs((again.get("prod-eu1")?.lastSeenAtMs ?? 0) - Date.now())).toBeLessThan(10_000);
  });

  it("goes with what its agents join and attach with", async () => {
    await clusters.create("prod-eu1", {});
    const joinTokens = new JoinTokens(store);
    await joinTokens.create("prod-eu1");
    const agent = { join_id: "1", key: "k", previous_key: null, expires_at_ms: 1, cluster_uid: "" };
    await store
      .insertInto("agents")
      .values({ ...agent, cluster: "prod-eu1" })
      .execute();
    await clusters.delete("prod-eu1");
    expect(clusters.get("prod-eu1")).toBeUndefined();
    expect(await everything()).toBe("[[],[],[],[],[]]");
  });

  it("that is not there cannot be removed", async () => {
    await expect(clusters.delete("prod-eu1")).rejects.toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
  });

  it("that is not there was never seen", async () => {
    await clusters.seen("prod-eu1");
    expect(await everything()).toBe("[[],[],[],[],[]]");
  });

  it("unknown is told with what to do", () => {
    expect(clusterUnknown("x")).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN, hop: Hop.RELAY });
    expect(clusterUnknown("x").message).toMatch(/`fairlead clusters` lists yours/);
  });
});
