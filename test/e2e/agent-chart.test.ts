import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { ChartScene, CLUSTER, NAMESPACE } from "../support/chart-scene.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";

describeOnRealNode()("the agent's chart", () => {
  let scene: ChartScene;

  beforeAll(async () => {
    scene = await ChartScene.start();
  }, 900_000);

  afterAll(() => scene?.stop());

  it("takes a cluster from nothing to kubectl get pods, by helm and kubectl alone", async () => {
    const begun = Date.now();
    const joinToken = await scene.administrate("clusters", "create", CLUSTER);
    const secret = ["create", "secret", "generic", "fairlead-join-token", "--namespace", NAMESPACE];
    await scene.node.admin([...secret, `--from-literal=token=${joinToken.trim()}`]);
    await scene.release("install");
    const installed = Date.now();
    const kubectl = await scene.proxy();
    const { code, stdout, stderr } = await kubectl.run(["get", "pods", "--namespace", NAMESPACE]);
    console.log(installed - begun, Date.now() - installed, stdout, stderr);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^fairlead-agent-\S+ +1\/1 +Running/m);
  });
});
