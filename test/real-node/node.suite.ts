import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { Helm } from "../support/helm.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import type { RealNode } from "../support/real-node.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";
import { setScene } from "../support/scene.ts";
import { sharedNode } from "../support/shared-node.ts";

const { cluster } = await setScene();

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web" },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: "web",
        image: "local/busybox:1",
        imagePullPolicy: "Never",
        command: [
          "sh",
          "-c",
          "mkdir /www && echo ahoy >/www/index.html && echo serving && exec httpd -f -p 8080 -h /www",
        ],
        readinessProbe: { httpGet: { path: "/", port: 8080 }, periodSeconds: 1 },
      },
    ],
  },
};

describeOnRealNode()("a real node", () => {
  let node: RealNode;

  beforeAll(async () => {
    node = await sharedNode();
    await node.apply(pod);
    await node.admin(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]);
  }, 900_000);

  afterAll(() => node?.reset());

  it.each(streamingKubectls(cluster))("runs pods that $name execs into, reads and forwards to", async ({ kubectl }) => {
    const ours = kubectl.against(node.kubeconfig);
    const exec = await ours.run(["exec", "-i", "web", "--", "sh", "-c", "cat; exit 7"], { stdin: "through stdin" });
    expect(exec).toMatchObject({ code: 7, stdout: "through stdin" });
    expect(await ours.run(["logs", "web"])).toMatchObject({ code: 0, stdout: "serving\n" });
    const forward = ours.start(["port-forward", "pod/web", ":8080"]);
    try {
      const [, port] = await forward.waitForOutput(/Forwarding from 127\.0\.0\.1:(\d+) ->/);
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      expect(await answer.text()).toBe("ahoy\n");
    } finally {
      await forward.stop();
    }
  });

  it("resolves the names of Services for pods", async () => {
    const name = "kubernetes.default.svc.cluster.local";
    expect(await node.admin(["exec", "web", "--", "nslookup", name])).toContain(name);
  });

  it("takes charts of helm", async () => {
    const helm = await Helm.find(node.dir);
    const chart = join(node.dir, "quay");
    await helm.run(["create", chart]);
    const container = "image.repository=local/busybox,image.tag=1,image.pullPolicy=Never,replicaCount=0";
    await helm.run(["install", "quay", chart, "--set", container, "--wait", "--timeout=30s"], node.kubeconfig);
    expect(JSON.parse(await helm.run(["list", "--output=json"], node.kubeconfig))).toMatchObject([
      { name: "quay", status: "deployed" },
    ]);
  });
});
