import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ClusterSchema, ClusterState } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { profileLabels } from "./profile-labels.ts";
import { profileObject, relayId } from "./profile-object.ts";

const RELAY = "https://relay.example.com";
const ADDRESS = { server: `${RELAY}/clusters/prod`, ca: Buffer.from("PEM") };
const CLUSTER = {
  name: "prod",
  labels: { env: "prod" },
  state: ClusterState.CONNECTED,
  stateTime: timestampFromDate(new Date("2026-11-24T10:00:00.5Z")),
  kubernetesVersion: "v1.36.3",
  nodeCount: 3,
};

describe("the ClusterProfile of a cluster", () => {
  it("says what it is, how it is and how to reach it", () => {
    const { object, leftOut } = profileObject(create(ClusterSchema, CLUSTER), "fleet", RELAY, ADDRESS);
    expect(leftOut).toEqual([]);
    expect(object).toEqual({
      apiVersion: "multicluster.x-k8s.io/v1alpha1",
      kind: "ClusterProfile",
      metadata: {
        ...{ name: "prod", namespace: "fleet", annotations: { "fairlead.dev/relay": RELAY } },
        labels: { env: "prod", "x-k8s.io/cluster-manager": "fairlead", "fairlead.dev/relay-id": relayId(RELAY) },
      },
      spec: { displayName: "prod", clusterManager: { name: "fairlead" } },
      status: {
        conditions: [
          {
            ...{ type: "ControlPlaneHealthy", status: "True", reason: "Connected", message: "" },
            lastTransitionTime: "2026-11-24T10:00:00Z",
          },
        ],
        version: { kubernetes: "v1.36.3" },
        properties: [{ name: "nodes.fairlead.dev", value: "3" }],
        accessProviders: [
          {
            name: "fairlead",
            cluster: {
              server: "https://relay.example.com/clusters/prod",
              "certificate-authority-data": "UEVN",
              extensions: [{ name: "client.authentication.k8s.io/exec", extension: { clusterName: "prod" } }],
            },
          },
        ],
      },
    });
  });

  it.each([
    [ClusterState.CONNECTED, "True"],
    [ClusterState.DEGRADED, "False"],
    [ClusterState.CONNECTING, "Unknown"],
    [ClusterState.OFFLINE, "Unknown"],
    [ClusterState.EXPIRED, "Unknown"],
  ])("in the state %s is healthy: %s", (state, status) => {
    const made = profileObject(create(ClusterSchema, { ...CLUSTER, state }), "fleet", RELAY, ADDRESS);
    expect(made.object.status).toMatchObject({ conditions: [{ status }] });
  });
});

describe("labels of a cluster", () => {
  it("are those that Kubernetes takes; the others are named", () => {
    const good = { env: "prod", empty: "", "example.com/tier": "a.b_c-d" };
    const bad = {
      "a b": "x",
      "": "x",
      spaces: "two words",
      long: "x".repeat(64),
      end: "x-",
      line: "x\n",
      "-a/b": "x",
      "a/b/c": "x",
      __proto__x: "x",
    };
    const { labels, leftOut } = profileLabels({ ...good, ...bad });
    expect(labels).toEqual(good);
    expect(leftOut).toEqual(Object.keys(bad));
  });

  it("say nothing in the name of Kubernetes or of ours", () => {
    const keys = ["x-k8s.io/cluster-manager", "multicluster.x-k8s.io/clusterset", "fairlead.dev/relay-id", "k8s.io/a"];
    expect(profileLabels(Object.fromEntries(keys.map((key) => [key, "a"]))).leftOut).toEqual(keys);
  });
});
