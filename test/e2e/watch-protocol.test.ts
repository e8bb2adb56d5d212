import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { type AuditEvent, AuditLog } from "../support/audit-log.ts";
import { eventually } from "../support/eventually.ts";
import { KubectlProxy } from "../support/kubectl-proxy.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";

const { cluster, admin } = await setScene();

/** What a list that is a watch asks for (KEP 3157). */
const initialEvents = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

interface WatchEvent {
  readonly type: string;
  readonly object: { readonly metadata: { readonly name?: string; readonly annotations?: object } };
}

async function* eventsOf(watch: IncomingMessage): AsyncGenerator<WatchEvent> {
  for await (const line of createInterface(watch)) {
    yield JSON.parse(line);
  }
}

// The client's version hardly matters here: kubectl proxy only carries the requests.
describe.each(kubectls(cluster).slice(-1))("a watch through the proxy of $name", ({ kubectl }) => {
  let proxy: KubectlProxy;
  let configMaps: string;
  let namespace: string;

  beforeAll(async () => {
    proxy = await KubectlProxy.start(kubectl);
  });

  beforeEach(async () => {
    namespace = await createNamespace(admin);
    configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
  });

  afterAll(() => proxy.stop());

  it("sends its head before its first event, each event at once, and ends when the reader leaves", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const filter = "fieldSelector=metadata.name%3Dgull";
    const watch = await proxy.open(`${configMaps}?watch=true&${filter}`);
    expect(watch.statusCode).toBe(200);

    const events = eventsOf(watch);
    await createConfigMap(admin, namespace, "gull");
    const { value: added } = await events.next();
    expect(added).toMatchObject({ type: "ADDED", object: { metadata: { name: "gull" } } });

    await admin.delete(`${configMaps}/gull`);
    const { value: deleted } = await events.next();
    expect(deleted).toMatchObject({ type: "DELETED", object: { metadata: { name: "gull" } } });

    watch.destroy();
    await audit.waitFor(isEndOfWatch(configMaps), "the watch's end", 3_000);
  });

  it("brings the bookmark that ends the initial events", async () => {
    await createConfigMap(admin, namespace, "gull");
    const watch = await proxy.open(`${configMaps}?watch=true&${initialEvents}`);
    for await (const { type, object } of eventsOf(watch)) {
      if (type === "BOOKMARK") {
        expect(object.metadata.annotations).toEqual({ "k8s.io/initial-events-end": "true" });
        break;
      }
      expect(type).toBe("ADDED");
    }
    watch.destroy();
  });

  it("leaves nothing at the apiserver when a hundred are broken off", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const watches = await Promise.all(Array.from({ length: 100 }, () => proxy.open(`${configMaps}?watch=true`)));
    expect(watches.map(({ statusCode }) => statusCode)).toEqual(Array(100).fill(200));

    for (const watch of watches) {
      watch.destroy();
    }
    const ended = async (): Promise<boolean> => (await audit.read()).filter(isEndOfWatch(configMaps)).length === 100;
    await eventually(ended, { what: "the end of a hundred watches" });
  });
});

function isEndOfWatch(path: string): (event: AuditEvent) => boolean {
  return ({ stage, verb, requestURI }) =>
    stage === "ResponseComplete" && verb === "watch" && requestURI.startsWith(path);
}
