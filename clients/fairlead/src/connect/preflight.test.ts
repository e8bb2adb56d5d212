import { describe, expect, it } from "@jest/globals";
import type { KubernetesObject } from "@kubernetes/client-node";
import { preflight } from "./preflight.ts";
import type { ClusterFacts, Right, TargetCluster } from "./target-cluster.ts";

const AGENT: KubernetesObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "fairlead-agent", namespace: "fairlead" },
};
const OBJECTS: KubernetesObject[] = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "fairlead" } },
  { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "n", namespace: "fairlead" } },
  AGENT,
];

/** A cluster that says this of itself. */
function cluster(facts: Partial<ClusterFacts> = {}, forbidden: (right: Right) => boolean = () => false, there = false) {
  const asked: Right[] = [];
  const answers = {
    asked,
    facts: async () => ({ version: "v1.36.3", clockAheadMs: 0, ...facts }),
    missing: async (rights: readonly Right[]) => {
      asked.push(...rights);
      return rights.filter(forbidden);
    },
    read: async () => (there ? AGENT : undefined),
  };
  return answers as unknown as TargetCluster & { asked: Right[] };
}

describe("a preflight", () => {
  it("says what it found, and asks for the right to make each kind of object", async () => {
    const fit = cluster();
    expect(await preflight(fit, OBJECTS)).toBe("Kubernetes v1.36.3");
    const asked = fit.asked.map(({ verb, group, resource }) => `${verb} ${resource}.${group}`);
    for (const kind of ["namespaces.", "networkpolicies.networking.k8s.io", "deployments.apps"]) {
      expect(asked).toEqual(expect.arrayContaining([`create ${kind}`, `patch ${kind}`]));
    }
  });

  it.each<[what: string, cluster: TargetCluster, says: RegExp]>([
    [
      "is too old",
      cluster({ version: "v1.26.9+k3s1" }),
      /Kubernetes v1.26.9\+k3s1, and Fairlead is for 1.27 and newer/,
    ],
    ["has a clock that is ahead", cluster({ clockAheadMs: 3_600_000 }), /its clock is 3600 s ahead of this machine's/],
    ["has a clock that is behind", cluster({ clockAheadMs: -45_000 }), /its clock is 45 s behind this machine's/],
    [
      "gives too few rights",
      cluster({}, ({ resource }) => resource === "networkpolicies"),
      /you may not make networkpolicies.networking.k8s.io there; a cluster-admin may/,
    ],
    [
      "gives no right to give rights",
      cluster({}, ({ verb }) => verb === "impersonate" || verb === "escalate"),
      /may not give the right to impersonate/,
    ],
    ["has an agent", cluster({}, undefined, true), /it has an agent in the namespace fairlead already/],
  ])("refuses a cluster that %s", async (_what, unfit, says) => {
    await expect(preflight(unfit, OBJECTS)).rejects.toThrow(says);
  });

  it.each<[what: string, cluster: TargetCluster]>([
    ["the oldest version", cluster({ version: "v1.27.0" })],
    ["a version that cannot be read", cluster({ version: "unknown" })],
    ["a clock that is off by less than tokens may be", cluster({ clockAheadMs: -29_000 })],
    ["no clock that is told", cluster({ clockAheadMs: undefined })],
    ["the right to escalate in place of that to impersonate", cluster({}, ({ verb }) => verb === "impersonate")],
  ])("takes %s", async (_what, fit) => {
    await expect(preflight(fit, OBJECTS)).resolves.toMatch(/^Kubernetes /);
  });
});
