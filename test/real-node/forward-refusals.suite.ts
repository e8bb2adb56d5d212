import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { bob, ForwardScene } from "../support/forward-scene.ts";
import { rawRequest } from "../support/raw-request.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";
import { alice } from "../support/tunnel.ts";

const targetOf = (service: string, namespace = "shop"): string =>
  `/apis/tunnel.fairlead.dev/v1alpha1/namespaces/${namespace}/services/${service}/portforward`;
const UPGRADE = ["Connection", "Upgrade", "Upgrade", "tcp.fairlead.dev"];

describeOnRealNode()("a Service of the cluster", () => {
  let scene: ForwardScene;

  beforeAll(async () => {
    scene = await ForwardScene.start();
  }, 900_000);

  afterAll(() => scene?.stop());

  /** Runs `fairlead forward`, which is to fail before it listens. @returns what it says */
  async function refusal(args: readonly string[], person = alice): Promise<string> {
    const program = scene.forward(args, person);
    expect(await program.exited).toEqual({ code: 1, signal: null });
    expect(program.stdout).toBe("");
    return program.stderr;
  }

  it("is reached where it is listed, so that the refusals below are of the list", async () => {
    const { port } = await scene.forwarding(["svc/web.shop", ":9000"]);
    const socket = connect({ port, host: "127.0.0.1" });
    socket.end("x");
    await once(socket.resume(), "close");
    expect(await scene.reached()).toBe(1);
  });

  it.each([
    [
      "that its owner has not listed",
      "shop/unlisted:80",
      /identity proxy: the cluster's owner has not listed the Service/,
    ],
    [
      "by another port than is listed",
      "shop/web:9001",
      /identity proxy: the cluster's owner has not listed the Service/,
    ],
    ["of another namespace", "default/web:80", /identity proxy: the cluster's owner has not listed the Service/],
    [
      "that is the apiserver",
      "default/kubernetes:443",
      /identity proxy: the cluster's owner has not listed the Service/,
    ],
    [
      "that is an ExternalName",
      "shop/outside:80",
      /identity proxy: the Service \S+ is of the type ExternalName, .*lead out/,
    ],
    [
      "whose endpoints are made by hand",
      "shop/by-hand:80",
      /identity proxy: the Service \S+ has no selector, .*lead out/,
    ],
    ["that is headless", "shop/headless:80", /service: the Service \S+ is headless/],
    ["that is not there", "shop/absent:80", /service: there is no Service/],
  ])("is not reached by a cluster-admin, if it is one %s", async (_what, service, says) => {
    const [, namespace = "", name = "", port = ""] = /^(.+)\/(.+):(.+)$/.exec(service) ?? [];
    const before = await scene.reached();
    const said = await refusal([`svc/${name}`, "-n", namespace, `:${port}`]);
    expect(said).toMatch(says);
    expect(said).toContain(service);
    const target = targetOf(`${name}:${port}`, namespace);
    const answer = await rawRequest(scene.own.tunnel.kubeconfig, target, UPGRADE, "POST");
    expect([403, 503]).toContain(answer.status);
    expect(JSON.parse(answer.body).message).toMatch(says);
    expect(await scene.reached()).toBe(before);
  });

  it("is not a way out: what a Service leads to by hand can be reached from the cluster, and was not", async () => {
    expect(scene.reachedOutside).toBe(0);
    const address = await scene.node.admin(["get", "svc", "by-hand", "-n", "shop", "-o", "jsonpath={.spec.clusterIP}"]);
    await scene.node.admin(["exec", "-n", "shop", "web", "--", "nc", "-w", "5", address, "80"]);
    expect(scene.reachedOutside).toBe(1);
  });

  it.each([
    ["an address", "169.254.169.254:80"],
    ["loopback", "127.0.0.1:80"],
    ["a host name", "example.com:80"],
    ["a path that is encoded", "..%2f..%2fweb:9000"],
  ])("is never %s", async (_what, name) => {
    const answer = await rawRequest(scene.own.tunnel.kubeconfig, targetOf(name), UPGRADE, "POST");
    expect(answer.status).toBe(400);
    expect(answer.headers["fairlead-error"]).toBe('MALFORMED_REQUEST; hop="identity proxy"');
  });

  it("that has no endpoint resets each connection and says so", async () => {
    const { port, program } = await scene.forwarding(["svc/nobody.shop", ":80"]);
    const socket = connect({ port, host: "127.0.0.1" });
    const [error] = await once(socket, "error");
    expect(error.code).toBe("ECONNRESET");
    await program.waitForOutput(
      /error: svc\/nobody:80: fairlead: service: the Service shop\/nobody:80 takes no connection/,
    );
    expect(program.hasExited).toBe(false);
  });

  it("is reached by RBAC's word alone, which counts for one Service and port", async () => {
    const bindTo = ["create", "rolebinding", "bob-may", "-n", "shop", `--user=${bob.email}`];
    await scene.node.admin([...bindTo, "--clusterrole=view"]);
    expect(await refusal(["svc/web.shop", ":9000"], bob)).toMatch(/bob@example\.com may not "create services\/proxy"/);
    await scene.node.admin(["delete", "rolebinding", "bob-may", "-n", "shop"]);
    await scene.node.admin([...bindTo, "--clusterrole=edit"]);
    await scene.forwarding(["svc/web.shop", ":9000"], bob);
    await scene.node.admin(["delete", "rolebinding", "bob-may", "-n", "shop"]);
    expect(await refusal(["svc/web.shop", ":9000"], bob)).toMatch(
      /identity proxy: bob@example\.com may not "create services\/proxy" named "web:9000" in the namespace shop/,
    );
    const allow = ["create", "role", "bob", "-n", "shop", "--verb=create", "--resource=services/proxy"];
    await scene.node.admin([...allow, "--resource-name=web:9000"]);
    await scene.node.admin(["create", "rolebinding", "bob", "-n", "shop", "--role=bob", `--user=${bob.email}`]);
    expect(await refusal(["svc/web.shop", ":9000"], bob)).toMatch(
      /bob@example\.com may not "get services" named "web"/,
    );
    const look = ["create", "role", "bob-looks", "-n", "shop", "--verb=get", "--resource=services"];
    await scene.node.admin([...look, "--resource-name=web"]);
    const bind = ["create", "rolebinding", "bob-looks", "-n", "shop", "--role=bob-looks"];
    await scene.node.admin([...bind, `--user=${bob.email}`]);
    await scene.forwarding(["svc/web.shop", ":9000"], bob);
    expect(await refusal(["svc/web.shop", ":80"], bob)).toMatch(/may not "create services\/proxy" named "web:80"/);
  });

  it("is not reached from a read-only context", async () => {
    const { tunnel } = scene.own;
    const file = tunnel.file("kubeconfig-read-only");
    await tunnel.cli(alice, "kubeconfig", tunnel.cluster, "--read-only", "--file", file);
    const before = await scene.reached();
    for (const method of ["POST", "GET"]) {
      const answer = await rawRequest(file, targetOf("web:9000"), UPGRADE, method);
      expect(answer.status).toBe(403);
      expect(JSON.parse(answer.body).message).toMatch(
        /identity proxy: this context is read-only, and "create services\.tunnel\.fairlead\.dev\/portforward" is more/,
      );
    }
    expect(await scene.reached()).toBe(before);
    expect(await rawRequest(tunnel.kubeconfig, targetOf("web:9000"), UPGRADE, "POST")).toMatchObject({ status: 101 });
  });

  it("is not reached under a read-only rule of the relay, and what is under way is cut and looks so", async () => {
    const { cluster } = scene.own.tunnel;
    const everybody = ["rules", "update", "everybody", "--user", alice.email, "--cluster", cluster];
    const { port, program } = await scene.forwarding(["svc/web.shop", ":9000"]);
    const socket = connect({ port, host: "127.0.0.1" });
    socket.write("under way");
    await once(socket, "data");
    const cut = once(socket, "error");
    await scene.asAdministrator(...everybody, "--read-only");
    const [error] = await cut;
    expect(error.code).toBe("ECONNRESET");
    expect(program.stderr).toMatch(/svc\/web:9000: fairlead: relay: your access to the cluster testbed is read-only/);
    expect(await refusal(["svc/web.shop", ":9000"])).toMatch(/relay: your access to the cluster testbed is read-only/);
    await scene.asAdministrator(...everybody);
  });
});
