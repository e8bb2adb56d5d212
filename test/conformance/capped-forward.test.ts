import { capRules, impersonationRules } from "@fairlead/authorization";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createNamespace } from "../support/namespace.ts";
import { type RawAnswer, rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin } = await setScene();
let namespace: string;
const tunnels: TunnelToTestbed[] = [];

/** A capped tunnel whose owner has listed the Service `web`. */
async function cappedTunnel(cap: string): Promise<TunnelToTestbed> {
  const tunnel = await startTunnel(cluster.testbed, {
    rules: impersonationRules({}, capRules(cap)),
    args: (name) => (name === "identity proxy" ? ["--require-cap", "--service", `${namespace}/web:80`] : []),
  });
  tunnels.push(tunnel);
  return tunnel;
}

/** Asks whether a connection would be made, as alice, a cluster-admin. */
function ask({ tunnel }: TunnelToTestbed, service = "web:80"): Promise<RawAnswer> {
  const base = `/apis/tunnel.fairlead.dev/v1alpha1/namespaces/${namespace}/services`;
  return rawRequest(tunnel.kubeconfig, `${base}/${service}/portforward`, [], "POST");
}

beforeAll(async () => {
  namespace = await createNamespace(admin);
  const spec = { selector: { app: "web" }, ports: [{ port: 80 }] };
  await admin.create(`/api/v1/namespaces/${namespace}/services`, { metadata: { name: "web" }, spec });
});

afterAll(async () => {
  for (const tunnel of tunnels) await tunnel.stop();
});

describe("in a capped tunnel a listed Service", () => {
  it("would be connected to where the cap lets Services be got, and no other would", async () => {
    const tunnel = await cappedTunnel("get:services");
    expect(await ask(tunnel)).toMatchObject({ status: 204, body: "" });
    expect((await ask(tunnel, "web:81")).body).toMatch(/has not listed the Service/);
  });

  it("would not be where the cap does not, and the apiserver says so", async () => {
    const { status, body } = await ask(await cappedTunnel("get:pods"));
    expect(status).toBe(403);
    expect(JSON.parse(body).message).toMatch(/may not "get services" named "web".*impersonate-on:user-info:get/);
  });
});
