import type { Logger } from "@fairlead/service";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { AccessRules } from "../access/access-rules.ts";
import { Clusters } from "../clusters/clusters.ts";
import { keepUp } from "./keep-up.ts";
import { openStore, type Store } from "./store.ts";

let store: Store;
let errors: number;
const log = { error: () => void errors++ } as unknown as Logger;
const rule = (name: string) => ({
  ...{ name, users: ["jane"], userPrefixes: [], groups: [], clusters: ["prod"], clusterLabels: {} },
  ...{ readOnly: false, notBeforeMs: undefined, expiresAtMs: undefined },
});

beforeEach(async () => {
  errors = 0;
  store = await openStore({ kind: "sqlite", file: ":memory:" });
});
afterEach(async () => {
  jest.useRealTimers();
  await store.destroy();
});

describe("what another relay of the database has changed", () => {
  it("counts here when it is read anew: what is removed there is gone, what is made there is known", async () => {
    const [here, there] = [await AccessRules.load(store), await AccessRules.load(store)];
    await here.create(rule("contractor"));
    await there.reload();
    await here.delete("contractor");
    await here.create(rule("developers"));
    await there.reload();
    expect(there.list().map(({ name }) => name)).toEqual(["developers"]);
    const [clusters, others] = [await Clusters.load(store), await Clusters.load(store)];
    await clusters.create("prod", { env: "prod" });
    await others.reload();
    expect(others.get("prod")?.labels).toEqual({ env: "prod" });
    await clusters.delete("prod");
    await others.reload();
    expect(others.list()).toEqual([]);
  });

  it("does not bring back what is removed here while it is read", async () => {
    const [rules, clusters] = [await AccessRules.load(store), await Clusters.load(store)];
    await Promise.all([rules.create(rule("contractor")), clusters.create("prod", {})]);
    await Promise.all([rules.reload(), rules.delete("contractor"), clusters.reload(), clusters.delete("prod")]);
    expect([rules.list(), clusters.list()]).toEqual([[], []]);
  });

  it("is looked at every 2 s, judged anew each time, and told once while it cannot be read", async () => {
    jest.useFakeTimers();
    let isAway = true;
    let judged = 0;
    const reload = async () => {
      if (isAway) throw new Error("the database is away");
    };
    const stop = keepUp([{ reload }], () => void judged++, log);
    await jest.advanceTimersByTimeAsync(6_000);
    expect([judged, errors]).toEqual([0, 1]);
    isAway = false;
    await jest.advanceTimersByTimeAsync(4_000);
    expect([judged, errors]).toEqual([2, 1]);
    stop();
    await jest.advanceTimersByTimeAsync(10_000);
    expect(judged).toBe(2);
  });

  it("is not asked for again while the last answer is awaited", async () => {
    jest.useFakeTimers();
    let asked = 0;
    const stop = keepUp([{ reload: () => new Promise(() => void asked++) }], () => {}, log);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(1);
    stop();
  });
});
