import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { ClusterSchema } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { type WatchedClusters, watchClusters } from "./cluster-watch.ts";

const DAY_MS = 24 * 60 * 60_000;
let names: string[];
let changed: (name: string) => void;
let end: AbortController;
let listeners: number;

beforeEach(() => {
  [names, listeners, end] = [[], 0, new AbortController()];
});
afterEach(() => {
  jest.restoreAllMocks();
  end.abort();
});

/** A watch of those in `names`, all of which its caller may reach. */
function watch(expiresAtMs: number) {
  const watched = {
    admission: { visible: () => names.map((name) => ({ name })), sees: () => true },
    clusters: { get: (name: string) => (names.includes(name) ? { name } : undefined) },
    states: {
      onChange: (listener: (change: { cluster: string }) => void) => {
        listeners++;
        changed = (cluster) => listener({ cluster });
        return () => listeners--;
      },
    },
    toMessage: ({ name }: { name: string }) => create(ClusterSchema, { name }),
  } as unknown as WatchedClusters;
  const caller = { user: "jane", groups: [], extra: {}, expiresAtMs } as unknown as Parameters<typeof watchClusters>[1];
  return watchClusters(watched, caller, end.signal);
}

describe("a watch of clusters", () => {
  it("ends when its caller's token does, also if a timer fires a moment before the clock is there", async () => {
    const now = jest.spyOn(Date, "now").mockReturnValue(1_000);
    const ended = watch(1_020).next();
    await delay(60);
    now.mockReturnValue(1_020);
    await expect(ended).rejects.toThrow(/expired/);
    expect(listeners).toBe(0);
  });

  it("ends when the token has expired while nobody read", async () => {
    names = ["prod"];
    const now = jest.spyOn(Date, "now").mockReturnValue(1_000);
    const clusters = watch(1_020);
    await clusters.next();
    await delay(60);
    now.mockReturnValue(1_030);
    await expect(clusters.next()).rejects.toThrow(/expired/);
  });

  it("goes on with a token that lasts longer than a timer can", async () => {
    const clusters = watch(Date.now() + 60 * DAY_MS);
    const next = clusters.next();
    expect(await Promise.race([next, delay(50, "quiet")])).toBe("quiet");
    names = ["prod"];
    changed("prod");
    expect((await next).value).toMatchObject({ cluster: { name: "prod" } });
  });

  it("tells each change once, as it is by then", async () => {
    names = ["a", "b"];
    const clusters = watch(Date.now() + DAY_MS);
    await clusters.next();
    await clusters.next();
    for (const name of ["a", "b", "a"]) changed(name);
    names = ["a"];
    expect((await clusters.next()).value).toMatchObject({ cluster: { name: "a" } });
    expect((await clusters.next()).value).toMatchObject({ cluster: { name: "b" }, removed: true });
    expect(await Promise.race([clusters.next(), delay(50, "quiet")])).toBe("quiet");
  });

  it("ends with whoever watches, and leaves nothing behind", async () => {
    const next = watch(Date.now() + DAY_MS).next();
    expect(listeners).toBe(1);
    end.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(listeners).toBe(0);
  });
});
