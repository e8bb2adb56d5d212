import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { ChartScene, CLUSTER, NAMESPACE } from "../support/chart-scene.ts";
import { eventually } from "../support/eventually.ts";
import { Load } from "../support/load.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";

const container = { name: "web", image: "local/busybox:1", imagePullPolicy: "Never", command: ["sleep", "3600"] };
const web = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "default" },
  spec: { terminationGracePeriodSeconds: 0, containers: [container] },
};

describeOnRealNode()("an upgrade of agent and identity proxy under load", () => {
  let scene: ChartScene;

  beforeAll(async () => {
    scene = await ChartScene.start();
    await scene.node.apply(web);
    await scene.join(await scene.administrate("clusters", "create", CLUSTER));
    await scene.release("install");
    await scene.node.admin(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]);
  }, 900_000);

  afterAll(() => scene?.stop());

  it("loses no request, and an exec stays open throughout, on the pods that end with it", async () => {
    const kubectl = await scene.proxy();
    const exec = kubectl.start(["exec", "--stdin", "web", "--", "cat"]);
    exec.write("begun\n");
    await exec.waitForOutput(/begun/);
    const load = new Load(scene.tunnel.kubeconfig, "/api/v1/namespaces?limit=1", 4);
    const before = await podNames();
    await scene.release(
      "upgrade",
      ...["agent", "identityProxy"].map((one) => `--set=${one}.resources.requests.cpu=21m`),
    );
    await eventually(() => load.count > 2_000, { what: "2,000 requests", timeoutMs: 60_000 });
    const answers = await load.stop();
    expect(Object.keys(answers)).toEqual(["200"]);
    exec.write("still here\n");
    await exec.waitForOutput(/still here/);
    exec.endInput();
    expect(await exec.exited).toMatchObject({ code: 0 });
    await eventually(async () => (await podNames()).every((name) => !before.includes(name)), {
      what: "the end of the old pods",
      timeoutMs: 60_000,
    });
  }, 240_000);

  async function podNames(): Promise<string[]> {
    return (await scene.node.admin(["get", "pods", "--namespace", NAMESPACE, "--output=name"])).trim().split("\n");
  }
});
