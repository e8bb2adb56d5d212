import { admitNew, nowSeconds } from "./admission.ts";
import { demoNodeName, newPod, recordEvent } from "./pods.ts";
import { configMaps, namespaces, nodes, pods } from "./resource-types.ts";
import type { Store } from "./store.ts";

/** The version the demo cluster reports; every part says "demo". */
export const demoVersion = "v1.36.0-fairlead-demo";

const demoPods: [namespace: string, workload: string, image: string][] = [
  ["default", "web", "fairlead.demo/web:1"],
  ["default", "web", "fairlead.demo/web:1"],
  ["default", "orders", "fairlead.demo/orders:1"],
  ["kube-system", "demo-dns", "fairlead.demo/dns:1"],
];

/** Fills an empty store with what a newcomer looks at first. */
export function seedStore(store: Store): void {
  for (const name of ["default", "kube-system", "kube-public", "demo"]) {
    const metadata = { name, labels: { "fairlead.demo": "true" } };
    store.insert(namespaces, admitNew(namespaces, undefined, { metadata }, true));
  }
  seedNode(store);
  for (const [namespace, workload, image] of demoPods) {
    const pod = store.insert(pods, newPod(namespace, workload, image));
    recordEvent(store, pod, "Started", "Started the simulated pod of the demo cluster");
  }
  const data = {
    "welcome.txt":
      "You reached the Fairlead demo cluster. Its pods, logs and shell are simulated; the way here is real.\n",
  };
  const metadata = { name: "welcome", labels: { "fairlead.demo": "true" } };
  store.insert(configMaps, admitNew(configMaps, "default", { metadata, data }, true));
}

function seedNode(store: Store): void {
  const now = nowSeconds();
  const metadata = { name: demoNodeName, labels: { "kubernetes.io/hostname": demoNodeName, "fairlead.demo": "true" } };
  const resources = { cpu: "2", memory: "2Gi", pods: "110" };
  const status = {
    capacity: resources,
    allocatable: resources,
    addresses: [
      { type: "InternalIP", address: "192.0.2.10" },
      { type: "Hostname", address: demoNodeName },
    ],
    conditions: [
      {
        type: "Ready",
        status: "True",
        reason: "DemoNode",
        message: "the node of the demo cluster runs nothing",
        lastHeartbeatTime: now,
        lastTransitionTime: now,
      },
    ],
    nodeInfo: {
      kubeletVersion: demoVersion,
      kubeProxyVersion: "",
      osImage: "Fairlead demo (simulated)",
      kernelVersion: "demo",
      containerRuntimeVersion: "demo://1",
      operatingSystem: "linux",
      architecture: "amd64",
      machineID: "demo",
      systemUUID: "demo",
      bootID: "demo",
    },
  };
  store.insert(nodes, admitNew(nodes, undefined, { metadata, spec: { podCIDR: "10.244.0.0/24" }, status }, true));
}
