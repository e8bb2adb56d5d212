import { ErrorCode, type FairleadError, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import type { KubernetesObject } from "@kubernetes/client-node";
import { type Finding, judged, type Look, skipped } from "./finding.ts";
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
const GOING: KubernetesObject = {
  ...{ apiVersion: "v1", kind: "Namespace" },
  metadata: { name: "fairlead", deletionTimestamp: new Date() },
};

/** A cluster that says this of itself, and has these objects. */
function cluster(
  facts: Partial<ClusterFacts> = {},
  forbidden: (right: Right) => boolean = () => false,
  ...there: KubernetesObject[]
) {
  const asked: Right[] = [];
  const answers = {
    asked,
    facts: async () => ({ version: "v1.36.3", clockAheadMs: 0, ...facts }),
    missing: async (rights: readonly Right[]) => {
      asked.push(...rights);
      return rights.filter(forbidden);
    },
    read: async ({ kind }: KubernetesObject) => there.find((each) => each.kind === kind),
  };
  return answers as unknown as TargetCluster & { asked: Right[] };
}

/** @returns what it tells, and what it fails with */
async function report(looked: TargetCluster, more: Look[] = [], signal = new AbortController().signal) {
  const lines: string[] = [];
  const told = (line: string) => lines.push(line);
  const failure = await preflight(looked, { objects: OBJECTS, more, told, signal }).then(
    () => undefined,
    (error: FairleadError) => error,
  );
  return { lines, failure };
}

/** A look at the way to the relay that finds this. */
const inside = (...findings: Finding[]): Look => ({ checks: ["DNS", "egress"], look: async () => findings });

describe("a preflight", () => {
  it("tells a line for each check, and asks for the right to make each kind of object", async () => {
    const fit = cluster();
    const { lines, failure } = await report(fit, [inside(judged("DNS", "relay.example.com is 203.0.113.7"))]);
    expect(failure).toBeUndefined();
    expect(lines).toEqual([
      "ok       version      Kubernetes v1.36.3",
      "ok       clock        0 s behind this machine's",
      "ok       permissions  you may make all that connects it",
      "ok       agent        none is there yet",
      "ok       DNS          relay.example.com is 203.0.113.7",
    ]);
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
    ["has an agent", cluster({}, undefined, AGENT), /it has an agent in the namespace fairlead already/],
    ["still removes the namespace", cluster({}, undefined, GOING), /the namespace fairlead is being removed/],
  ])("refuses a cluster that %s", async (_what, unfit, says) => {
    const { lines, failure } = await report(unfit);
    expect(failure).toMatchObject({ code: ErrorCode.ACCESS_DENIED, message: expect.stringMatching(says) });
    expect(lines.filter((line) => line.startsWith("failed"))).toEqual([expect.stringMatching(says)]);
  });

  it("looks at everything, whatever it finds, and names all faults in the end", async () => {
    const unfit = cluster({ version: "v1.20.1", clockAheadMs: 60_000 }, () => true, AGENT);
    const way = inside(judged("DNS", "", "relay.invalid: ENOTFOUND"), ...skipped(["egress"], "no address"));
    const { lines, failure } = await report(unfit, [way]);
    expect(lines.map((line) => line.split(/ +/, 2).join(" "))).toEqual([
      ...["failed version", "failed clock", "failed permissions", "failed agent", "failed DNS", "skipped egress"],
    ]);
    const named =
      /^this cluster cannot be connected: version: .*; clock: .*; permissions: .* impersonate .*; agent: .*; DNS: relay.invalid/;
    expect(failure?.message).toMatch(named);
    expect(failure?.hop).toBe(Hop.APISERVER);
  });

  it("blames the way to the relay, if only that fails", async () => {
    const { failure } = await report(cluster(), [inside(judged("egress", "", "a firewall drops it"))]);
    expect(failure).toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.RELAY });
  });

  it("goes on without what cannot be looked at, and says why", async () => {
    const look = async () => Promise.reject(new Error("pods are forbidden"));
    const { lines, failure } = await report(cluster(), [{ checks: ["DNS", "egress"], look }]);
    expect(failure).toBeUndefined();
    expect(lines.slice(-2)).toEqual([
      "skipped  DNS          not looked at: pods are forbidden",
      "skipped  egress       not looked at",
    ]);
  });

  it("ends when it is interrupted, with the reason", async () => {
    const interrupted = new AbortController();
    const look = async () => {
      interrupted.abort(new Error("interrupted"));
      return skipped(["DNS"], "interrupted");
    };
    const { lines, failure } = await report(cluster(), [{ checks: ["DNS"], look }], interrupted.signal);
    expect(failure?.message).toBe("interrupted");
    expect(lines.join()).not.toMatch(/DNS/);
  });

  it.each<[what: string, cluster: TargetCluster]>([
    ["the oldest version", cluster({ version: "v1.27.0" })],
    ["a version that cannot be read", cluster({ version: "unknown" })],
    ["a clock that is off by less than tokens may be", cluster({ clockAheadMs: -29_000 })],
    ["no clock that is told", cluster({ clockAheadMs: undefined })],
    ["the right to escalate in place of that to impersonate", cluster({}, ({ verb }) => verb === "impersonate")],
  ])("takes %s", async (_what, fit) => {
    expect((await report(fit)).failure).toBeUndefined();
  });
});
