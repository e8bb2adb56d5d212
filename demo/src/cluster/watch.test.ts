import { describe, expect, it } from "@jest/globals";
import { admitNew } from "./admission.ts";
import { configMaps } from "./resource-types.ts";
import { selectorFrom } from "./selectors.ts";
import { Store } from "./store.ts";
import { type WatchEvent, type WatchOptions, watchEvents } from "./watch.ts";

function configMap(name: string, labels: Record<string, string> = {}) {
  return admitNew(configMaps, "default", { metadata: { name, labels } }, true);
}

function optionsFrom(store: Store, more: Partial<WatchOptions> = {}): WatchOptions {
  return {
    type: configMaps,
    namespace: undefined,
    selector: () => true,
    resourceVersion: store.resourceVersion,
    bookmarks: false,
    markInitialEnd: false,
    ...more,
  };
}

async function take(events: AsyncGenerator<WatchEvent, void>, count: number): Promise<string[]> {
  const seen: string[] = [];
  while (seen.length < count) {
    const { value } = await events.next();
    if (!value) break;
    const { metadata } = value.object as { metadata: { name?: string } };
    seen.push(`${value.type} ${metadata.name ?? ""}`.trim());
  }
  return seen;
}

const forever = new AbortController().signal;

describe("a watch", () => {
  it("shows an object that enters and leaves its selection as arriving and departing", async () => {
    const store = new Store();
    const selector = selectorFrom(new URLSearchParams({ labelSelector: "shown=yes" }));
    const events = watchEvents(store, optionsFrom(store, { selector }), forever);
    store.insert(configMaps, configMap("a", { shown: "no" }));
    for (const shown of ["yes", "yes", "no"]) store.replace(configMaps, configMap("a", { shown }));
    store.insert(configMaps, configMap("end", { shown: "yes" }));
    expect(await take(events, 4)).toEqual(["ADDED a", "MODIFIED a", "DELETED a", "ADDED end"]);
  });

  it("marks the end of the initial events for WatchList clients", async () => {
    const store = new Store();
    store.insert(configMaps, configMap("a"));
    const options = optionsFrom(store, { resourceVersion: undefined, bookmarks: true, markInitialEnd: true });
    const events = watchEvents(store, options, forever);
    await events.next();
    const { value } = await events.next();
    expect(value).toMatchObject({
      type: "BOOKMARK",
      object: { metadata: { annotations: { "k8s.io/initial-events-end": "true" } } },
    });
  });

  it("wakes up for a change that comes while it waits", async () => {
    const store = new Store();
    const events = watchEvents(store, optionsFrom(store), forever);
    const next = events.next();
    store.insert(configMaps, configMap("late"));
    expect((await next).value).toMatchObject({ type: "ADDED" });
  });

  it("gets the Expired error when it falls behind the history, and ends", async () => {
    const store = new Store({ maxHistoryEvents: 3 });
    const events = watchEvents(store, optionsFrom(store), forever);
    for (let count = 0; count < 5; count += 1) store.insert(configMaps, configMap(`n${count}`));
    expect((await events.next()).value).toMatchObject({ type: "ERROR", object: { code: 410, reason: "Expired" } });
    expect((await events.next()).done).toBe(true);
  });

  it("ends without an error when its signal aborts", async () => {
    const store = new Store();
    const stop = new AbortController();
    const next = watchEvents(store, optionsFrom(store), stop.signal).next();
    stop.abort();
    expect((await next).done).toBe(true);
  });
});

describe("the store", () => {
  it("refuses more objects than its limit and takes them again after a delete", () => {
    const store = new Store({ maxObjects: 1 });
    store.insert(configMaps, configMap("a"));
    expect(() => store.insert(configMaps, configMap("b"))).toThrow("the demo cluster is full");
    store.remove(configMaps, "default", "a");
    expect(store.insert(configMaps, configMap("b")).metadata.name).toBe("b");
  });
});
