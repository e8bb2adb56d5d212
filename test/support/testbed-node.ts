import type { ApiClient } from "./api-client.ts";

/** Plays what a kubelet reports: a node, and pods that run on it. */

const nodeName = "n1";
const containerName = "c";

const startedAt = "2026-01-01T00:00:00Z";
const ready = { type: "Ready", status: "True", reason: "Testbed" };

export async function createNode(admin: ApiClient, kubeletPort: number): Promise<void> {
  const labels = { "kubernetes.io/hostname": nodeName };
  await admin.create("/api/v1/nodes", {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: nodeName, labels },
  });
  await admin.patch(`/api/v1/nodes/${nodeName}/status`, {
    status: {
      addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
      daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      conditions: [{ ...ready, lastHeartbeatTime: startedAt, lastTransitionTime: startedAt }],
    },
  });
}

/** A pod with one container, running as far as the apiserver knows. */
export async function createRunningPod(admin: ApiClient, name: string, namespace = "default"): Promise<void> {
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  await admin.create(pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      nodeName,
      tolerations: [{ operator: "Exists" }],
      containers: [{ name: containerName, image: "local", stdin: true, tty: true }],
    },
  });
  await admin.patch(`${pods}/${name}/status`, {
    status: {
      phase: "Running",
      conditions: [ready],
      containerStatuses: [running(containerName)],
    },
  });
}

/** Says that an ephemeral container, which kubectl debug has added to the pod, now runs. */
export async function reportEphemeralContainer(
  admin: ApiClient,
  pod: { readonly name: string; readonly namespace: string },
  container: string,
): Promise<void> {
  await admin.patch(`/api/v1/namespaces/${pod.namespace}/pods/${pod.name}/status`, {
    status: { ephemeralContainerStatuses: [running(container)] },
  });
}

function running(name: string): object {
  return {
    name,
    ready: true,
    started: true,
    restartCount: 0,
    image: "local",
    imageID: "local",
    state: { running: { startedAt } },
  };
}
