import { create } from "@bufbuild/protobuf";
import { ClusterSchema, ErrorCode } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import type { RelayConnection } from "../relay/relay-connection.ts";
import type { Hub, PublishedProfile } from "./hub.ts";
import { type ProfileObject, relayId } from "./profile-object.ts";
import { Publisher } from "./publisher.ts";

const url = new URL("https://relay.example.com");
const OURS = { "x-k8s.io/cluster-manager": "fairlead", "fairlead.dev/relay-id": relayId(url.origin) };

/** A relay with clusters by these names; one called `sealed` has no address. */
function relay(names: () => string[]): RelayConnection {
  const clusters = {
    listClusters: async () => ({ clusters: names().map((name) => create(ClusterSchema, { name })) }),
    getKubeconfig: async ({ cluster }: { cluster: string }) => ({
      directUrl: cluster === "sealed" ? "" : `/clusters/${cluster}`,
    }),
  };
  return { url, tls: {}, clusters } as unknown as RelayConnection;
}

/** A hub in memory. */
function hubWith(...profiles: PublishedProfile[]) {
  const objects = new Map(profiles.map((profile) => [profile.name, profile]));
  const applied: string[] = [];
  const hub: Hub = {
    namespace: "fleet",
    list: async () => [...objects.values()],
    apply: async ({ metadata }: ProfileObject) => {
      applied.push(metadata.name);
      objects.set(metadata.name, metadata);
    },
    remove: async (name) => {
      objects.delete(name);
    },
  };
  return { hub, applied, names: () => [...objects.keys()].sort() };
}

describe("publishing", () => {
  it("makes an object for each cluster, and writes what has not changed once only", async () => {
    const { hub, applied } = hubWith();
    const publisher = new Publisher(relay(() => ["a", "b"]));
    expect(await publisher.publish(hub)).toMatchObject({ published: ["a", "b"], removed: [], failed: [] });
    expect(await publisher.publish(hub)).toMatchObject({ published: [] });
    publisher.forget();
    await publisher.publish(hub);
    expect(applied).toEqual(["a", "b", "a", "b"]);
  });

  it("removes what is of ours and whose cluster is gone, and nothing else", async () => {
    const { hub, names } = hubWith(
      { name: "gone", labels: OURS },
      { name: "another-manager", labels: { ...OURS, "x-k8s.io/cluster-manager": "karmada" } },
      { name: "another-relay", labels: { ...OURS, "fairlead.dev/relay-id": "0" } },
      { name: "by-hand", labels: {} },
    );
    const { removed } = await new Publisher(relay(() => ["a"])).publish(hub);
    expect(removed).toEqual(["gone"]);
    expect(names()).toEqual(["a", "another-manager", "another-relay", "by-hand"]);
  });

  it("leaves an object of the same name alone that is not ours, and publishes the others", async () => {
    const { hub, applied } = hubWith({ name: "a", labels: {} });
    const { failed } = await new Publisher(relay(() => ["a", "b"])).publish(hub);
    expect(applied).toEqual(["b"]);
    expect(failed).toMatchObject([{ cluster: "a", error: { code: ErrorCode.ALREADY_EXISTS } }]);
  });

  it("goes on past a cluster without an address, and past names that are none; what is there of them stays", async () => {
    const { hub, applied, names } = hubWith({ name: "sealed", labels: OURS });
    const hostile = ["../x", "UPPER", "a.b", "x".repeat(64), ""];
    const { failed } = await new Publisher(relay(() => ["sealed", ...hostile, "b"])).publish(hub);
    expect(applied).toEqual(["b"]);
    expect(names()).toEqual(["b", "sealed"]);
    expect(failed.map(({ cluster }) => cluster)).toEqual(["sealed", ...hostile]);
  });

  it("removes nothing when the relay cannot be asked", async () => {
    const { hub, names } = hubWith({ name: "a", labels: OURS });
    const away = relay(() => {
      throw new Error("away");
    });
    await expect(new Publisher(away).publish(hub)).rejects.toThrow("away");
    expect(names()).toEqual(["a"]);
  });
});
