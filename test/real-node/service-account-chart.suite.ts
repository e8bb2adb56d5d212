import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { ChartScene, CLUSTER, NAMESPACE } from "../support/chart-scene.ts";
import { eventually } from "../support/eventually.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";

/** The node's apiserver's --service-account-issuer. */
const ISSUER = "https://kubernetes.default.svc";
const ENABLED = "--set=joinServiceAccount.enabled=true";

describeOnRealNode()("the agent's chart, without a join token", () => {
  let scene: ChartScene;
  let audience: string;
  const admin = (...args: string[]) => scene.node.admin(["--namespace", NAMESPACE, ...args]);
  const read = async (...args: string[]) => JSON.parse(await admin("get", "--output=json", ...args));
  const known = async () => JSON.parse(await scene.administrate("clusters", "--output", "json"))[0];
  const untilConnected = () =>
    eventually(async () => (await known()).state === "Connected", { what: "Connected", timeoutMs: 60_000 });

  beforeAll(async () => {
    scene = await ChartScene.start();
    const jwks = join(scene.dir, "jwks.json");
    await writeFile(jwks, await scene.node.admin(["get", "--raw", "/openid/v1/jwks"]));
    const account = ["--join-service-account", `${NAMESPACE}/fairlead-agent`, "--join-issuer", ISSUER];
    audience = (await scene.administrate("clusters", "create", CLUSTER, ...account, "--join-jwks", jwks)).trim();
  }, 900_000);

  afterAll(() => scene?.stop());

  it("takes a cluster from nothing to kubectl get pods, with no secret handed over", async () => {
    await scene.release("install", ENABLED);
    const { code, stdout } = await (await scene.proxy()).run(["get", "pods", "--namespace", NAMESPACE]);
    expect(code).toBe(0);
    expect(stdout.match(/^fairlead-(agent|identity-proxy)-\S+ +1\/1 +Running/gm)).toHaveLength(4);
    expect(await admin("get", "secrets", "--output=name")).not.toMatch(/join/);
  });

  it("has kubelet give the agent a token for the audience that is due alone, for an hour", async () => {
    const { items } = await read("pods", "--selector=app.kubernetes.io/name=fairlead-agent");
    const { volumes } = items[0].spec;
    const { projected } = volumes.find(({ name }: { name: string }) => name === "join");
    expect(projected.sources).toEqual([{ serviceAccountToken: { audience, expirationSeconds: 3_600, path: "token" } }]);
  });

  it("brings the agent back by itself when its state is lost, with a key and a certificate of its own", async () => {
    const state = () => read("secret/fairlead-agent-state").then(({ data }) => data);
    await untilConnected();
    const before = await state();
    const drop = JSON.stringify([{ op: "remove", path: "/data" }]);
    await admin("patch", "secret/fairlead-agent-state", "--type=json", `--patch=${drop}`);
    expect(await state()).toBeUndefined();
    await admin("delete", "pods", "--selector=app.kubernetes.io/name=fairlead-agent", "--grace-period=1");
    await admin("rollout", "status", "deployment/fairlead-agent", "--timeout=60s");
    await untilConnected();
    const after = await state();
    expect(Object.keys(after).sort()).toEqual(["tls.crt", "tls.key"]);
    expect(after["tls.key"]).not.toBe(before["tls.key"]);
    const { code } = await scene.node.kubectl.against(scene.tunnel.kubeconfig).run(["get", "namespaces"]);
    expect(code).toBe(0);
    await eventually(async () => (await known()).agentReplicas === 2, { what: "both replicas", timeoutMs: 60_000 });
  }, 180_000);

  it.each([
    ["a token for longer than an hour", "expirationSeconds=3601", /expirationSeconds.*maximum/s],
    ["one for less than ten minutes", "expirationSeconds=599", /expirationSeconds.*minimum/s],
    ["an audience that names no cluster", `audience=${ISSUER}`, /audience.*does not match pattern/s],
    ["a token in its values", "token=x", /additional properties? 'token' not allowed/],
  ])("refuses %s", async (_what, set, says) => {
    await expect(scene.render(ENABLED, `--set=joinServiceAccount.${set}`)).rejects.toThrow(says);
  });
});
