import { once } from "node:events";
import { createRequire } from "node:module";
import { type AddressInfo, createServer, type Server } from "node:net";
import type { DemoPerson } from "@fairlead/demo";
import type { KubernetesObject } from "./api-client.ts";
import type { RealNode } from "./real-node.ts";
import { RunningProgram } from "./running-program.ts";
import { sharedNode } from "./shared-node.ts";
import { alice, startTunnel, type TunnelToTestbed } from "./tunnel.ts";

const CLI = createRequire(import.meta.url).resolve("@fairlead/cli/main");
/** Keeps the relay. */
const administrator: DemoPerson = { email: "administrator@fairlead.dev", groups: [] };
/** Somebody with no rights in the cluster but those that a test gives. */
export const bob: DemoPerson = { email: "bob@example.com", groups: [] };

/** Each connection to the pod leaves a line in /tmp/reached; `cat` gives back what it gets, to its end. */
const serve =
  "mkdir /www && echo ahoy >/www/index.html && printf '#!/bin/sh\\necho x >>/tmp/reached\\nexec cat\\n' >/tmp/echo";
const pod: KubernetesObject = {
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "web", namespace: "shop", labels: { app: "web" } } },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        ...{ name: "web", image: "local/busybox:1", imagePullPolicy: "Never" },
        command: [
          "sh",
          "-c",
          `${serve} && chmod +x /tmp/echo && (nc -ll -p 9000 -e /tmp/echo &) && exec httpd -f -p 8080 -h /www`,
        ],
        readinessProbe: { httpGet: { path: "/", port: 8080 }, periodSeconds: 1 },
      },
    ],
  },
};

/** A Service of the namespace `shop`: of the pod `web`, with changes. */
function service(name: string, changes: object = {}): KubernetesObject {
  const ports = [
    { name: "http", port: 80, targetPort: 8080 },
    { name: "echo", port: 9000 },
    { name: "unlisted", port: 9001, targetPort: 9000 },
  ];
  const spec = { selector: { app: "web" }, ports, ...changes };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: "shop" }, spec };
}

/** Leads a Service by hand out of the cluster, to a port of an address. */
function slice(serviceName: string, address: string, port: number): KubernetesObject {
  const labels = { "kubernetes.io/service-name": serviceName };
  return {
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice" },
    ...{ metadata: { name: serviceName, namespace: "shop", labels }, addressType: "IPv4" },
    ...{ endpoints: [{ addresses: [address] }], ports: [{ name: "http", port, protocol: "TCP" }] },
  } as KubernetesObject;
}

/** What the cluster's owner has listed. */
const LISTED = ["web:80", "web:9000", "nobody:80", "outside:80", "by-hand:80", "headless:80", "absent:80"];

/** A real node with a pod and Services of all kinds, and the whole path to it. */
export class ForwardScene {
  readonly node: RealNode;
  readonly own: TunnelToTestbed;
  /** Outside of the cluster; the endpoint of `by-hand`. */
  readonly #outside: Server;
  #reachedOutside = 0;
  readonly #programs: RunningProgram[] = [];

  private constructor(node: RealNode, own: TunnelToTestbed, outside: Server) {
    this.node = node;
    this.own = own;
    this.#outside = outside;
    outside.on("connection", (socket) => {
      this.#reachedOutside++;
      socket.on("error", () => {}).end();
    });
  }

  static async start(): Promise<ForwardScene> {
    const node = await sharedNode();
    const outside = createServer();
    await once(outside.listen(0, node.hostAddress), "listening");
    const { port } = outside.address() as AddressInfo;
    await node.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
    await node.apply(
      ...[pod, service("web"), service("unlisted"), service("nobody", { selector: { app: "nobody" } })],
      ...[service("headless", { clusterIP: "None" }), service("by-hand", { selector: {} })],
      ...[
        service("outside", { type: "ExternalName", externalName: "example.com" }),
        slice("by-hand", node.hostAddress, port),
      ],
    );
    await node.admin(["wait", "--for=condition=Ready", "pod/web", "-n", "shop", "--timeout=60s"]);
    const services = LISTED.flatMap((each) => ["--service", `shop/${each}`]);
    const own = await startTunnel(
      { dir: node.dir, adminKubeconfig: node.kubeconfig },
      { others: [bob], args: (name) => (name === "identity proxy" ? services : []) },
    );
    const scene = new ForwardScene(node, own, outside);
    await scene.asAdministrator("rules", "create", "bob", "--user", bob.email, "--cluster", own.tunnel.cluster);
    return scene;
  }

  /** Runs `fairlead` as the relay's administrator. */
  asAdministrator(...args: string[]): Promise<string> {
    return this.own.tunnel.cli(administrator, ...args);
  }

  /** Begins `fairlead forward CLUSTER ...`. */
  forward(args: readonly string[], person: DemoPerson = alice): RunningProgram {
    const { tunnel } = this.own;
    const relay = ["--relay", tunnel.relayUrl, "--relay-ca", tunnel.file("ca.crt")];
    const all = ["forward", tunnel.cluster, ...args, ...relay, "--token-file", tunnel.tokenFile(person)];
    const program = new RunningProgram({ file: process.execPath, args: [CLI, ...all] });
    this.#programs.push(program);
    return program;
  }

  /** The same, once it listens. @returns with the local port of its first line */
  async forwarding(args: readonly string[], person?: DemoPerson): Promise<{ program: RunningProgram; port: number }> {
    const program = this.forward(args, person);
    const [, port] = await program.waitForOutput(/^Forwarding from 127\.0\.0\.1:(\d+) -> svc\//m);
    return { program, port: Number(port) };
  }

  /** How many connections to the pod's port 9000 there were. */
  async reached(): Promise<number> {
    const count = "cat /tmp/reached 2>/dev/null | wc -l";
    return Number(await this.node.admin(["exec", "-n", "shop", "web", "--", "sh", "-c", count]));
  }

  /** How many connections there were to what is outside of the cluster. */
  get reachedOutside(): number {
    return this.#reachedOutside;
  }

  async stop(): Promise<void> {
    this.#outside.close();
    for (const program of this.#programs) await program.stop();
    await this.own.stop();
    await this.node.reset();
  }
}
