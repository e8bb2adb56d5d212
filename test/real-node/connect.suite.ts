import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ChartScene, CLUSTER, NAMESPACE } from "../support/chart-scene.ts";
import { eventually } from "../support/eventually.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";

describeOnRealNode()("fairlead connect", () => {
  let scene: ChartScene;

  beforeAll(async () => {
    scene = await ChartScene.start();
    await scene.node.admin(["delete", "namespace", NAMESPACE]); // it makes its own
  }, 900_000);

  afterAll(() => scene?.stop());

  /** What somebody with this kubeconfig runs. */
  const connect = (...more: string[]) => scene.connect(...more);
  const namespaces = () => scene.node.admin(["get", "namespaces", "--output=name"]);
  const clusters = async () => JSON.parse(await scene.administrate("clusters", "--output", "json"));

  describe.each(["manifests", "helm"])("via %s", (via) => {
    it("takes a cluster from nothing to kubectl get pods", async () => {
      const { code, stdout, stderr } = await connect("--via", via, "--label", "env=test", "--output", "json");
      expect(`${code} ${stderr}`).toMatch(/^0 /);
      expect(JSON.parse(stdout)).toMatchObject({
        name: CLUSTER,
        state: "Connected",
        labels: { env: "test" },
      });
      for (const check of ["version", "clock", "permissions", "agent", "image", "DNS", "egress"]) {
        expect(stderr).toMatch(new RegExp(`^ +ok +${check} +\\S`, "m"));
      }
      expect(stderr).toMatch(/^ +ok +egress +.*takes connections .*the relay answers/m);
      const kubectl = await scene.proxy();
      const pods = await kubectl.run(["get", "pods", "--namespace", NAMESPACE]);
      expect(pods.stdout).toMatch(/^fairlead-agent-\S+ +\d\/1 +Running/m);
      await scene.tunnel.processes["client proxy"].end();
    });

    it("refuses a cluster that is connected already", async () => {
      const { code, stderr } = await connect("--via", via);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/has an agent in the namespace fairlead already/)]);
      expect(await clusters()).toHaveLength(1);
    });

    it("is undone by fairlead disconnect, without a trace", async () => {
      const { code, stderr } = await scene.disconnect();
      expect(`${code} ${stderr}`).toMatch(/^0 /);
      await scene.node.admin(["wait", "--for=delete", `namespace/${NAMESPACE}`, "--timeout=90s"]);
      expect(await clusters()).toEqual([]);
      expect(await scene.node.admin(["get", "clusterroles,clusterrolebindings", "--output=name"])).not.toMatch(
        /fairlead/,
      );
    });
  });

  /** Nothing is left in the cluster and at the relay, or was made. */
  const expectNothing = async () => {
    await scene.node.admin(["wait", "--for=delete", `namespace/${NAMESPACE}`, "--timeout=90s"]);
    expect(await clusters()).toEqual([]);
  };
  /** Values of the chart's for which no node is right. */
  const onNoNode = async (part: string) => {
    const file = join(scene.dir, `${part}-on-no-node.yaml`);
    await writeFile(file, JSON.stringify({ [part]: { nodeSelector: { nowhere: "true" } } }));
    return ["--via", "helm", "--values", file];
  };

  it("fails for an image that is not there before it makes a cluster, and leaves nothing behind", async () => {
    const { code, stderr } = await connect("--image-tag", "none");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ +failed +image +\S+\/agent:none cannot be had: .*; build and push it/m);
    expect(stderr).toMatch(/^error: fairlead: apiserver: this cluster cannot be connected: image: /m);
    expect(stderr).not.toMatch(/a join token/);
    await expectNothing();
  });

  it("fails for a relay that the cluster cannot find before it makes a cluster, and leaves nothing behind", async () => {
    const { code, stderr } = await connect("--cluster-relay", "https://relay.invalid:443");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ +failed +DNS +from a pod there, name: relay\.invalid: .*; see to the cluster's DNS/m);
    expect(stderr).toMatch(/^ +skipped +egress +not looked at/m);
    expect(stderr).toMatch(/^error: fairlead: relay: this cluster cannot be connected: DNS: .*relay\.invalid/m);
    expect(stderr).not.toMatch(/a join token/);
    await expectNothing();
  });

  it("fails for a relay that the cluster does not get through to before it makes a cluster", async () => {
    const { code, stderr } = await connect("--cluster-relay", `https://${scene.node.hostAddress}:1`);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^ +failed +egress +from a pod there, connection: .*:1: .*ECONNREFUSED.*; nothing listens there/m,
    );
    await expectNothing();
  });

  it("says what does not run, and what the doctor says there, when requests do not get through", async () => {
    const { code, stderr } = await connect(...(await onNoNode("identityProxy")), "--timeout", "15");
    expect(code).toBe(1);
    expect(stderr).toMatch(/pod fairlead-identity-proxy-\S+: 0\/1 nodes are available/);
    expect(stderr).toMatch(/the doctor says in the agent's pod:\n.*failed +identity proxy/s);
    expect(stderr).toMatch(/the cluster is not connected after 15 s\./);
    await expectNothing();
  });

  it("leaves nothing when it is interrupted as it looks at the cluster", async () => {
    const program = scene.startConnect(...(await onNoNode("agent")));
    const pods = ["get", "pods", "--namespace", NAMESPACE, "--output=name"];
    const isLooking = async () => (await scene.node.admin(pods)).includes("fairlead-preflight-");
    await eventually(isLooking, { what: "the pod that looks from inside", timeoutMs: 45_000 });
    program.signal("SIGINT");
    expect(await program.exited).toMatchObject({ code: 1 });
    expect(program.stderr).toMatch(/^error: .*interrupted/m);
    await expectNothing();
  });

  it("leaves nothing when it is interrupted as it waits for the agent", async () => {
    const program = scene.startConnect();
    await program.waitForOutput(/Connecting: no agent has joined yet/);
    program.signal("SIGINT");
    expect(await program.exited).toMatchObject({ code: 1 });
    expect(program.stderr).toMatch(/^error: .*interrupted/m);
    await expectNothing();
  });

  it("leaves a namespace that was there as it is, with what is in it, when it is disconnected too", async () => {
    await scene.node.admin(["create", "namespace", NAMESPACE]);
    await scene.node.admin(["create", "configmap", "others", "--namespace", NAMESPACE]);
    const before = await scene.node.admin(["get", "namespace", NAMESPACE, "--output=jsonpath={.metadata.labels}"]);
    expect(await connect()).toMatchObject({ code: 0 });
    expect(await scene.disconnect()).toMatchObject({ code: 0 });
    expect(await scene.node.admin(["get", "namespace", NAMESPACE, "--output=jsonpath={.metadata.labels}"])).toBe(
      before,
    );
    const left = ["get", "configmaps,secrets,deployments,serviceaccounts", "--namespace", NAMESPACE, "--output=name"];
    expect((await scene.node.admin(left)).split("\n").sort().join(" ").trim()).toBe(
      "configmap/kube-root-ca.crt configmap/others serviceaccount/default",
    );
    await scene.node.admin(["delete", "namespace", NAMESPACE]);
  });

  it("makes nothing where helm does not take the chart", async () => {
    const { code, stderr } = await connect("--via", "helm", "--chart", "/nonexistent");
    expect([code, stderr]).toEqual([1, expect.stringMatching(/helm template failed: .*nonexistent/)]);
    expect(await namespaces()).not.toMatch(NAMESPACE);
    expect(await clusters()).toEqual([]);
  });

  it("leaves nothing where helm cannot make it", async () => {
    const file = join(scene.dir, "refused.yaml");
    await writeFile(file, JSON.stringify({ identityProxy: { nodeSelector: { "no label": "true" } } }));
    const { code, stderr } = await connect("--via", "helm", "--values", file);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/helm install failed: .*no label/s)]);
    await expectNothing();
  });

  it("makes nothing for somebody who may not, and says what they may not", async () => {
    const { code, stderr } = await connect("--context", await scene.contextOfNobody());
    expect(code).toBe(1);
    expect(stderr).toMatch(/you may not make namespaces, .*clusterroles.* there; a cluster-admin may/);
    expect(await namespaces()).not.toMatch(NAMESPACE);
    expect(await clusters()).toEqual([]);
  });

  it("prints what it would make, which kubectl takes, and makes nothing", async () => {
    const { stdout } = await connect("--dry-run");
    expect(stdout).toMatch(/^# Before: kubectl create namespace fairlead\n/);
    expect(stdout).not.toMatch(/placeholder|flj_/);
    expect(await clusters()).toEqual([]);
    await scene.node.admin(["create", "namespace", NAMESPACE]);
    const said = await scene.node.admin(["apply", "--dry-run=server", "--filename=-"], stdout);
    expect(said).toMatch(/deployment.apps\/fairlead-agent created \(server dry run\)/);
    await scene.node.admin(["delete", "namespace", NAMESPACE]);
  });
});
