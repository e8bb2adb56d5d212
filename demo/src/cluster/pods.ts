import { randomUUID } from "node:crypto";
import { nowSeconds, randomSuffix } from "./admission.ts";
import { fieldAt, isFields, type KubernetesObject, listAt, textAt } from "./kubernetes-object.ts";
import { apiVersionOf, events, pods } from "./resource-types.ts";
import { invalid } from "./status.ts";
import type { Store } from "./store.ts";

/** Pods never run anything: they are objects that say Running, with simulated logs and a simulated shell. */
export const demoNodeName = "demo-node";
const maxEvents = 200;

let lastAddress = 0;

/**
 * Fills in what a scheduler and a kubelet would: the pod is Running on the demo node at once.
 * @throws StatusError Invalid for a pod without a named container
 */
export function runPod(pod: KubernetesObject): KubernetesObject {
  const containers = listAt(pod, "spec", "containers");
  if (containers.length === 0 || containers.some((each) => textAt(each, "name") === "")) {
    throw invalid(pods, pod.metadata.name, "spec.containers", "Required value");
  }
  const startedAt = pod.metadata.creationTimestamp;
  const defaults = { restartPolicy: "Always", dnsPolicy: "ClusterFirst", serviceAccountName: "default" };
  const spec = { ...defaults, ...(isFields(pod.spec) && pod.spec), nodeName: demoNodeName };
  return { ...pod, spec, status: runningStatus(containers, startedAt) };
}

/** A new pod with one container, as the demo's own workloads use it. */
export function newPod(namespace: string, workload: string, image: string): KubernetesObject {
  const generateName = `${workload}-`;
  return runPod({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: generateName + randomSuffix(),
      generateName,
      namespace,
      uid: randomUUID(),
      resourceVersion: "",
      creationTimestamp: nowSeconds(),
      labels: { app: workload, "fairlead.demo": "true" },
    },
    spec: { containers: [{ name: workload, image, ports: [{ containerPort: 8080, protocol: "TCP" }] }] },
  });
}

/** Replaces a deleted pod of the demo's own workloads, as a Deployment would. Other pods stay deleted. */
export function recreatePod(store: Store, removed: KubernetesObject): void {
  const { namespace, labels } = removed.metadata;
  if (namespace === undefined || labels?.["fairlead.demo"] !== "true") return;
  const image = textAt(listAt(removed, "spec", "containers")[0], "image");
  recordEvent(store, removed, "Killing", "Stopping the simulated pod of the demo cluster");
  const pod = store.insert(pods, newPod(namespace, labels.app ?? "demo", image));
  recordEvent(store, pod, "Started", "Started the simulated pod of the demo cluster");
}

/** Adds an Event about a pod; the oldest make room, as an hour's TTL does in a real cluster. */
export function recordEvent(store: Store, pod: KubernetesObject, reason: string, message: string): void {
  const { name, namespace, uid } = pod.metadata;
  const now = nowSeconds();
  store.insert(events, {
    apiVersion: apiVersionOf(events),
    kind: events.kind,
    metadata: {
      name: `${name}.${randomUUID().slice(0, 16).replace("-", "")}`,
      ...(namespace !== undefined && { namespace }),
      uid: randomUUID(),
      resourceVersion: "",
      creationTimestamp: now,
    },
    involvedObject: { apiVersion: "v1", kind: "Pod", name, namespace, uid },
    reason,
    message,
    source: { component: "fairlead-demo", host: demoNodeName },
    type: "Normal",
    count: 1,
    firstTimestamp: now,
    lastTimestamp: now,
  });
  const byAge = store
    .list(events)
    .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion));
  for (const { metadata } of byAge.slice(0, -maxEvents)) store.remove(events, metadata.namespace, metadata.name);
}

/** Names of a pod's containers, the default one first. */
export function containerNames(pod: KubernetesObject): string[] {
  return listAt(pod, "spec", "containers").map((container) => textAt(container, "name"));
}

function runningStatus(containers: unknown[], startedAt: string): Record<string, unknown> {
  lastAddress = (lastAddress % 250) + 1;
  const podIP = `10.244.0.${lastAddress}`;
  const conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
  return {
    phase: "Running",
    conditions: conditions.map((type) => ({ type, status: "True", lastTransitionTime: startedAt })),
    hostIP: "192.0.2.10",
    podIP,
    podIPs: [{ ip: podIP }],
    startTime: startedAt,
    qosClass: "BestEffort",
    containerStatuses: containers.map((container) => ({
      name: fieldAt(container, "name"),
      image: fieldAt(container, "image"),
      imageID: "",
      containerID: `demo://${randomUUID()}`,
      ready: true,
      started: true,
      restartCount: 0,
      lastState: {},
      state: { running: { startedAt } },
    })),
  };
}
