import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { ChartScene, CLUSTER, NAMESPACE } from "../support/chart-scene.ts";
import { eventually } from "../support/eventually.ts";
import { LOAD_LIMITS, Load } from "../support/load.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";

/** How long a certificate lasts here, in seconds: it is renewed after two thirds of them. */
const CERTIFICATE_SECONDS = 10;
const web = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "default" },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: "web", image: "local/busybox:1", imagePullPolicy: "Never", command: ["sleep", "3600"] }],
  },
};

describeOnRealNode()("an agent in pods, which keeps its certificate in a Secret", () => {
  let scene: ChartScene;

  beforeAll(async () => {
    scene = await ChartScene.start({ agents: { certificateSeconds: CERTIFICATE_SECONDS }, limits: LOAD_LIMITS });
    await scene.node.apply(web);
    await scene.join(await scene.administrate("clusters", "create", CLUSTER));
    await scene.release("install");
    await scene.proxy();
    await scene.node.admin(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]);
  }, 900_000);

  afterAll(() => scene?.stop());

  it("renews it over and over, through an upgrade too, while no request is lost and an exec stays open", async () => {
    const exec = scene.node.kubectl.against(scene.tunnel.kubeconfig).start(["exec", "--stdin", "web", "--", "cat"]);
    const echo = async (line: string): Promise<void> => {
      exec.write(`${line}\n`);
      await exec.waitForOutput(new RegExp(`^${line}$`, "m"));
    };
    await echo("begun");
    const each = String.raw`--output=jsonpath={.data.tls\.crt}{"\n"}`;
    const watch = scene.node.kubectl.start(["get", "secret/fairlead-agent-state", "-n", NAMESPACE, "--watch", each]);
    const renewals = (): number => new Set(watch.stdout.match(/^.+\n/gm)).size - 1;
    const renewed = async (count: number): Promise<void> => {
      await eventually(() => renewals() >= count, { what: `renewal ${count}` });
      await echo(`after renewal ${count}`);
    };
    const load = new Load(scene.tunnel.kubeconfig, "/api/v1/namespaces?limit=1", 4);
    for (const count of [1, 2]) await renewed(count);
    const both = ["agent", "identityProxy"].map((one) => `--set=${one}.resources.requests.cpu=22m`);
    await scene.release("upgrade", ...both);
    const before = renewals();
    await echo("upgraded");
    for (let count = before + 1; count <= Math.max(5, before + 2); count++) await renewed(count);
    const answers = await load.stop();
    await watch.stop();
    process.stderr.write(`\n*** ${renewals()} renewals, ${answers["200"]} requests ***\n`);
    expect(Object.keys(answers)).toEqual(["200"]);
    exec.endInput();
    expect(await exec.exited).toMatchObject({ code: 0 });
    const known = async () => JSON.parse(await scene.administrate("clusters", "--output", "json"))[0];
    await eventually(async () => (await known()).agentReplicas === 2, { what: "both new agents alone" });
    expect(await known()).toMatchObject({ state: "Connected" });
  }, 240_000);
});
