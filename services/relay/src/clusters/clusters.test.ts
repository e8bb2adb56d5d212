import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { openStore, type Store } from "../store/store.ts";
import { Clusters, clusterUnknown } from "./clusters.ts";

let store: Store;
let clusters: Clusters;

beforeEach(async () => {
  store = await openStore(":memory:");
  clusters = await Clusters.load(store);
});

afterEach(() => store.destroy());

/** All that the database has, as text. */
async function everything(): Promise<string> {
  const tables = ["clusters", "agents", "access_rules"] as const;
  return JSON.stringify(await Promise.all(tables.map((table) => store.selectFrom(table).selectAll().execute())));
}

describe("a cluster", () => {
  it.each(["a", "0", "prod-eu1", "a-b-c", "1".repeat(63)])("may be named %j", async (name) => {
    expect((await clusters.create(name, {})).cluster.name).toBe(name);
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

  it("has its name alone, and its agent's token stays as it was", async () => {
    const { agentToken } = await clusters.create("prod-eu1", {});
    await expect(clusters.create("prod-eu1", { env: "x" })).rejects.toMatchObject({ code: ErrorCode.ALREADY_EXISTS });
    expect(await clusters.ofAgent(agentToken)).toBe("prod-eu1");
    expect(clusters.get("prod-eu1")?.labels).toEqual({});
  });

  it("is made once when it is asked for twice at the same instant", async () => {
    const made = await Promise.allSettled([1, 2, 3].map(() => clusters.create("prod-eu1", {})));
    expect(made.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
    for (const outcome of made) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: ErrorCode.ALREADY_EXISTS });
    }
    expect(await store.selectFrom("agents").selectAll().execute()).toHaveLength(1);
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
    const { agentToken } = await clusters.create("prod-eu1", { env: "prod" });
    await clusters.seen("prod-eu1", "0.1.0");
    const again = await Clusters.load(store);
    expect(again.list()).toEqual(clusters.list());
    expect(Math.abs((again.get("prod-eu1")?.lastSeenAtMs ?? 0) - Date.now())).toBeLessThan(10_000);
    expect(await again.ofAgent(agentToken)).toBe("prod-eu1");
  });

  it("goes with its agent's token", async () => {
    const { agentToken } = await clusters.create("prod-eu1", {});
    await clusters.delete("prod-eu1");
    expect(clusters.get("prod-eu1")).toBeUndefined();
    expect(await clusters.ofAgent(agentToken)).toBeUndefined();
    expect(await everything()).toBe("[[],[],[]]");
  });

  it("that was removed and made anew has a new token, and the old one stays void", async () => {
    const { agentToken: old } = await clusters.create("prod-eu1", {});
    await clusters.delete("prod-eu1");
    const { agentToken: fresh } = await clusters.create("prod-eu1", {});
    expect(fresh).not.toBe(old);
    expect(await clusters.ofAgent(old)).toBeUndefined();
    expect(await clusters.ofAgent(fresh)).toBe("prod-eu1");
  });

  it("that is not there cannot be removed", async () => {
    await expect(clusters.delete("prod-eu1")).rejects.toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
  });

  it("that is not there was never seen", async () => {
    await clusters.seen("prod-eu1", "0.1.0");
    expect(await everything()).toBe("[[],[],[]]");
  });

  it("unknown is told with what to do", () => {
    expect(clusterUnknown("x")).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN, hop: Hop.RELAY });
    expect(clusterUnknown("x").message).toMatch(/`fairlead clusters` lists yours/);
  });
});

describe("an agent's token", () => {
  it("says what it is, has 256 random bits, and is another for each cluster", async () => {
    const tokens = await Promise.all(["a", "b", "c"].map(async (name) => (await clusters.create(name, {})).agentToken));
    for (const token of tokens) expect(token).toMatch(/^fla_[A-Za-z0-9_-]{43}$/);
    expect(new Set(tokens).size).toBe(3);
  });

  it("is nowhere in the database: a hash is", async () => {
    const { agentToken } = await clusters.create("prod-eu1", {});
    const kept = await everything();
    expect(kept).not.toContain(agentToken);
    expect(kept).not.toContain(agentToken.slice(4));
    const [agent] = await store.selectFrom("agents").selectAll().execute();
    expect(agent?.token_sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it("speaks for its own cluster only", async () => {
    const { agentToken: a } = await clusters.create("a", {});
    const { agentToken: b } = await clusters.create("b", {});
    expect(await clusters.ofAgent(a)).toBe("a");
    expect(await clusters.ofAgent(b)).toBe("b");
  });

  it("counts to the last character, and its hash is no token", async () => {
    const { agentToken } = await clusters.create("prod-eu1", {});
    const [agent] = await store.selectFrom("agents").selectAll().execute();
    const others = [agentToken.slice(0, -1), `${agentToken} `, agentToken.toUpperCase(), "", agent?.token_sha256 ?? ""];
    for (const other of others) expect(await clusters.ofAgent(other)).toBeUndefined();
  });
});
