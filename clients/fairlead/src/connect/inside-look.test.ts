import { afterEach, describe, expect, it, jest } from "@jest/globals";
import type { KubernetesObject, V1Pod, V1PodStatus } from "@kubernetes/client-node";
import { lineOf } from "./finding.ts";
import { insideLook } from "./inside-look.ts";
import { Installer } from "./installer.ts";
import type { TargetCluster } from "./target-cluster.ts";

afterEach(() => {
  jest.restoreAllMocks();
});

const metadata = { name: "fairlead-agent", namespace: "fairlead" };
/** As the chart makes them, as far as the pod is made of them. */
const AGENT = {
  ...{ apiVersion: "apps/v1", kind: "Deployment", metadata },
  spec: {
    template: {
      metadata: { labels: { "app.kubernetes.io/name": "fairlead-agent" } },
      spec: {
        serviceAccountName: "fairlead-agent",
        securityContext: { runAsNonRoot: true },
        imagePullSecrets: [{ name: "registry" }],
        containers: [
          {
            name: "agent",
            image: "registry.example.com/agent:1.2.3",
            imagePullPolicy: "Always",
            env: [
              { name: "FAIRLEAD_RELAY", value: "https://relay.example.com" },
              { name: "FAIRLEAD_STATE_SECRET", value: "fairlead/fairlead-agent-state" },
            ],
            args: ["--grace=600"],
            startupProbe: { httpGet: { path: "/healthz", port: 9090 } },
            securityContext: { readOnlyRootFilesystem: true },
            volumeMounts: [
              { name: "link", mountPath: "/etc/fairlead/link" },
              { name: "relay", mountPath: "/etc/fairlead/relay" },
            ],
          },
        ],
        volumes: [{ name: "link", secret: { secretName: "fairlead-agent-link" } }],
      },
    },
  },
};
const OBJECTS: KubernetesObject[] = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "fairlead" } },
  { apiVersion: "v1", kind: "ConfigMap", metadata, data: { "ca.crt": "PEM" } } as KubernetesObject,
  AGENT,
];
const [ENDED, RUNNING] = [statusOf({ terminated: {} }), statusOf({ running: {} })];

function statusOf(state: object): V1PodStatus {
  const others = { name: "mesh", state: { running: {} } };
  return { phase: "Pending", containerStatuses: [others, { name: "agent", state }] } as unknown as V1PodStatus;
}

/** Looks from inside a cluster whose pod is so, and logs this. */
function looked(status: V1PodStatus, log: string, { isAllowed = true, interrupted = new AbortController() } = {}) {
  const made: KubernetesObject[] = [];
  const removed: KubernetesObject[] = [];
  const target = {
    missing: async (rights: object[]) => (isAllowed ? [] : rights),
    read: async ({ kind }: KubernetesObject) => (kind === "Pod" ? { status } : undefined),
    apply: async (object: KubernetesObject) => made.push(object),
    remove: async (object: KubernetesObject) => removed.push(object),
    logOf: async () => log,
  } as unknown as TargetCluster;
  const look = insideLook({
    target,
    installer: new Installer(target),
    objects: OBJECTS,
    signal: interrupted.signal,
  }).look();
  return { made, removed, lines: look.then((findings) => findings.map(lineOf)) };
}

/** What doctor prints of a way on which this check fails. */
function reported(failing: string): string {
  const names = ["name", "connection", "proxy", "tls", "http2", "grpc", "clock", "version", "certificate", "sessions"];
  const at = names.indexOf(failing);
  const checks = names.map((check, i) => {
    if (i > at) return { check, state: "skipped" };
    return i < at
      ? { check, state: "ok", seen: `${check} is well` }
      : { check, state: "failed", seen: "E", remedy: "R" };
  });
  return `(node:1) Warning: something\n${JSON.stringify({ healthy: false, checks })}\n`;
}

describe("a look from inside a cluster", () => {
  it("is made by the agent's own pod, without its account, Secrets and probes", async () => {
    const { made, lines } = looked(ENDED, reported("certificate"));
    await lines;
    const [namespace, pod] = made as [KubernetesObject, V1Pod];
    expect(namespace).toBe(OBJECTS[0]);
    expect(pod.metadata).toMatchObject({
      name: expect.stringMatching(/^fairlead-preflight-/),
      labels: AGENT.spec.template.metadata.labels,
      annotations: { "fairlead.dev/relay-ca": "PEM" },
    });
    expect(pod.spec).toMatchObject({
      ...{ serviceAccountName: "default", automountServiceAccountToken: false, restartPolicy: "Never" },
      ...{ securityContext: { runAsNonRoot: true }, imagePullSecrets: [{ name: "registry" }] },
      volumes: [{ name: "relay", downwardAPI: { items: [{ path: "ca.crt" }] } }],
    });
    expect(pod.spec?.containers[0]).toEqual({
      ...{ name: "agent", image: "registry.example.com/agent:1.2.3", imagePullPolicy: "Always" },
      env: [{ name: "FAIRLEAD_RELAY", value: "https://relay.example.com" }],
      args: ["--grace=600", "doctor", "--output=json"],
      securityContext: { readOnlyRootFilesystem: true },
      volumeMounts: [{ name: "relay", mountPath: "/etc/fairlead/relay" }],
    });
  });

  it.each<[what: string, failing: string, lines: string[]]>([
    [
      "is well up to the certificate, which comes later",
      "certificate",
      [
        "ok       image        the agent's runs there",
        "ok       DNS          name is well",
        "ok       egress       connection is well, grpc is well, version is well",
      ],
    ],
    [
      "has no name",
      "name",
      [
        "ok       image        the agent's runs there",
        "failed   DNS          from a pod there, name: E; see to the cluster's DNS, or give the relay's address as the cluster knows it with --cluster-relay",
        "skipped  egress       not looked at",
      ],
    ],
    [
      "ends at a firewall",
      "connection",
      [
        "ok       image        the agent's runs there",
        "ok       DNS          name is well",
        "failed   egress       from a pod there, connection: E; R",
      ],
    ],
  ])("tells of a way that %s", async (_what, failing, expected) => {
    expect(await looked(ENDED, reported(failing)).lines).toEqual(expected);
  });

  it("fails for an image that is not to be had", async () => {
    const waiting = { reason: "ErrImagePull", message: "no such host" };
    const [image, ...others] = await looked(statusOf({ waiting }), "").lines;
    expect(image).toMatch(
      /^failed +image +registry.example.com\/agent:1.2.3 cannot be had: no such host; build and push it/,
    );
    expect(others.map((line) => line.split(/ +/, 2).join(" "))).toEqual(["skipped DNS", "skipped egress"]);
  });

  it.each<[what: string, status: V1PodStatus, log: string, says: RegExp]>([
    [
      "does not start",
      { conditions: [{ type: "PodScheduled", status: "False", message: "0/3 nodes are available" }] },
      "",
      /has not started within 30 s: 0\/3 nodes are available/,
    ],
    ["does not end", RUNNING, "", /has not ended within 60 s/],
    ["has no doctor", ENDED, "error: unknown command 'doctor'\n", /no report .*: error: unknown command 'doctor'/],
  ])("says nothing of the way where the pod %s, and why", async (_what, status, log, says) => {
    const times = [0, 61_000];
    jest.spyOn(Date, "now").mockImplementation(() => times.shift() ?? 61_000);
    const { lines, made, removed } = looked(status, log);
    await expect(lines).rejects.toThrow(says);
    expect(removed).toEqual(made.slice(-1));
  });

  it("makes nothing for somebody who may not", async () => {
    const { lines, made } = looked(ENDED, "", { isAllowed: false });
    await expect(lines).rejects.toThrow(/which you may not make/);
    expect(made).toEqual([]);
  });

  it("removes its pod, and nothing else", async () => {
    const { lines, made, removed } = looked(ENDED, reported("certificate"));
    await lines;
    expect(removed).toEqual([expect.objectContaining({ kind: "Pod" })]);
    expect(removed).toEqual(made.slice(-1));
  });

  it("removes its pod when it is interrupted too", async () => {
    const interrupted = new AbortController();
    const { lines, made, removed } = looked(RUNNING, "", { interrupted });
    while (made.length < 2) await Promise.resolve();
    interrupted.abort(new Error("interrupted"));
    await expect(lines).rejects.toThrow("interrupted");
    expect(removed).toEqual(made.slice(-1));
  });
});
