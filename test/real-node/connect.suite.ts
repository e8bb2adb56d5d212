import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ChartScene, CLUSTER, NAMESPACE } from "../support/chart-scene.ts";
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

  it("says why nothing runs, and leaves nothing behind, when it does not come to be", async () => {
    const { code, stderr } = await connect("--image-tag", "none", "--timeout", "8");
    expect(code).toBe(1);
    expect(stderr).toMatch(/pod fairlead-agent-\S+: .*(image|Image).*none/);
    expect(stderr).toMatch(/the cluster is not connected after 8 s. Connecting: no agent has joined yet/);
    await scene.node.admin(["wait", "--for=delete", `namespace/${NAMESPACE}`, "--timeout=90s"]);
    expect(await clusters()).toEqual([]);
  });

  it("says from inside the cluster which hop fails on the way to the relay", async () => {
    const { code, stderr } = await connect("--cluster-relay", "https://relay.invalid:8443", "--timeout", "12");
    expect(code).toBe(1);
    expect(stderr).toMatch(/the doctor says in the agent's pod:\n.*name.*relay\.invalid/s);
    await scene.node.admin(["wait", "--for=delete", `namespace/${NAMESPACE}`, "--timeout=90s"]);
    expect(await clusters()).toEqual([]);
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

  it("leaves nothing where helm cannot make it", async () => {
    const elsewhere = await connect("--via", "helm", "--chart", "/nonexistent");
    expect([elsewhere.code, elsewhere.stderr]).toEqual([
      1,
      expect.stringMatching(/helm install failed: .*nonexistent/),
    ]);
    await scene.node.admin(["wait", "--for=delete", `namespace/${NAMESPACE}`, "--timeout=90s"]);
    expect(await clusters()).toEqual([]);
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
