import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { AuditLog } from "../support/audit-log.ts";
import { kubectls, streamingKubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();
const REFUSED = /^Error from server \(Forbidden\).*: fairlead: identity proxy: this context is read-only/m;
const EXEC = "/api/v1/namespaces/default/pods/p1/exec?command=true&stdout=true";
let own: TunnelToTestbed;
let readOnly: string;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  readOnly = await contextOf("read-only", "--read-only");
});
afterAll(() => own.stop());

/** A kubeconfig with a context of alice's, who may do everything in the cluster. */
async function contextOf(name: string, ...scope: string[]): Promise<string> {
  const file = own.tunnel.file(`kubeconfig-${name}`);
  await own.tunnel.cli(alice, "kubeconfig", own.tunnel.cluster, ...scope, "--file", file);
  return file;
}

describeWithNode.each(streamingKubectls(cluster))("a read-only context with $name", ({ kubectl }) => {
  it("gets, lists and reads logs", async () => {
    const through = kubectl.against(readOnly);
    expect(await through.run(["get", "pods", "p1", "-o", "name"])).toMatchObject({ code: 0, stdout: "pod/p1\n" });
    expect(await through.run(["logs", "p1"])).toMatchObject({ code: 0, stderr: "" });
    expect(await through.run(["get", "--raw", "/version"])).toMatchObject({ code: 0 });
    expect(await through.run(["auth", "can-i", "get", "pods"])).toMatchObject({ code: 0, stdout: "yes\n" });
  });

  it("watches", async () => {
    const namespace = await createNamespace(admin);
    const watch = kubectl.against(readOnly).start(["get", "configmaps", "-n", namespace, "-w", "-o", "name"]);
    await watch.waitForOutput(/kube-root-ca\.crt/);
    await createConfigMap(admin, namespace, "buoy");
    await watch.waitForOutput(/configmap\/buoy/);
    await watch.stop();
  });

  it.each([
    ["exec", ["exec", "p1", "--", "true"], "create pods/exec"],
    ["attach", ["attach", "p1"], "create pods/attach"],
    ["cp", ["cp", "p1:/etc/hostname", "/tmp/never-written"], "create pods/exec"],
    ["delete", ["delete", "pod", "p1", "--wait=false"], "delete pods"],
    ["create", ["create", "configmap", "never-made"], "create configmaps"],
    ["patch", ["annotate", "pod", "p1", "never=set"], "patch pods"],
    ["taint", ["taint", "node", "n1", "never=set:NoSchedule"], "patch nodes"],
    ["a token of a service account", ["create", "token", "default"], "create serviceaccounts/token"],
    ["a proxied node", ["get", "--raw", "/api/v1/nodes/n1/proxy/pods"], "get nodes/proxy"],
  ])("is refused %s, and kubectl says by whom", async (_what, args, words) => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const { code, stderr } = await kubectl.against(readOnly).run(args);
    expect(stderr).toMatch(/fairlead: identity proxy: this context is read-only/);
    expect(stderr).toContain(words);
    expect(code).toBe(1);
    const seen = (await audit.read()).filter(
      ({ user, impersonatedUser }) => user.username === own.account && impersonatedUser?.username === alice.email,
    );
    expect(seen.filter(({ verb }) => !/^(get|list|watch)$/.test(verb))).toEqual([]);
    expect(seen.filter(({ requestURI }) => /\/(exec|attach|proxy)/.test(requestURI))).toEqual([]);
  });

  it("cannot forward a port", async () => {
    const forward = kubectl.against(readOnly).start(["port-forward", "p1", ":80"]);
    await expect(forward.exited).resolves.toMatchObject({ code: 1 });
    expect(forward.stderr).toMatch(/fairlead: identity proxy: this context is read-only/);
  });

  it("shows the refusal as Kubernetes' own Forbidden", async () => {
    const { stderr } = await kubectl.against(readOnly).run(["delete", "pod", "p1", "--wait=false"]);
    expect(stderr).toMatch(REFUSED);
  });

  it("leaves the full context beside it as it is", async () => {
    const outcome = await kubectl.against(own.tunnel.kubeconfig).run(["exec", "p1", "--", "echo", "aye"]);
    expect(outcome).toMatchObject({ code: 0, stdout: "aye\n" });
  });
});

describe("an exec by hand in a read-only context", () => {
  const SPDY = ["Connection", "Upgrade", "Upgrade", "SPDY/3.1", "X-Stream-Protocol-Version", "v4.channel.k8s.io"];
  const KEY = ["Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="];
  const WEBSOCKET = [
    "Connection",
    "Upgrade",
    "Upgrade",
    "websocket",
    ...KEY,
    "Sec-WebSocket-Protocol",
    "v5.channel.k8s.io",
  ];

  it.each([
    ["GET over WebSocket", "GET", WEBSOCKET, EXEC],
    ["POST over SPDY", "POST", SPDY, EXEC],
    ["GET over SPDY", "GET", SPDY, EXEC],
    ["a letter that is encoded", "GET", WEBSOCKET, EXEC.replace("exec", "%65xec")],
    ["a slash that is encoded", "GET", WEBSOCKET, EXEC.replace("/exec", "%2fexec")],
    ["two slashes", "GET", WEBSOCKET, EXEC.replace("/exec", "//exec")],
    ["a path that says watch", "GET", WEBSOCKET, EXEC.replace("/v1/", "/v1/watch/")],
    ["a query that says watch", "GET", WEBSOCKET, `${EXEC}&watch=true`],
    ["a slash behind", "GET", WEBSOCKET, EXEC.replace("?", "/?")],
    ["a header that says another method", "GET", [...WEBSOCKET, "X-HTTP-Method-Override", "HEAD"], EXEC],
    ["no upgrade", "GET", [], EXEC],
  ])("is refused: %s", async (_how, method, headers, path) => {
    const answer = await rawRequest(readOnly, path, headers, method);
    expect(answer.status).toBe(403);
    expect(answer.headers["fairlead-error"]).toBe('ACCESS_DENIED; hop="identity proxy"');
    expect(JSON.parse(answer.body)).toMatchObject({
      kind: "Status",
      status: "Failure",
      reason: "Forbidden",
      code: 403,
    });
  });

  it("is carried out in the full one, so the refusals above are of the context", async () => {
    expect(await rawRequest(own.tunnel.kubeconfig, EXEC, WEBSOCKET)).toMatchObject({ status: 101 });
  });
});

describe("a context", () => {
  it("is widened by no edit of its kubeconfig: a changed credential opens nothing", async () => {
    const text = await readFile(readOnly, "utf8");
    const token = /token: (\S+)/.exec(text)?.[1] ?? "";
    const [prefix, , mac] = token.split(".");
    for (const forged of [`${prefix}..${mac}`, token.replace(/^fls1\./, ""), `${prefix}.CAA.${mac}`]) {
      const file = own.tunnel.file("kubeconfig-forged");
      await writeFile(file, text.replace(token, forged));
      expect(await rawRequest(file, "/version")).toMatchObject({ status: 401 });
    }
  });

  it.each([
    ["of a group that the caller is in", "dev", ["dev", "system:authenticated"]],
    ["of other groups", "ops,system:masters", ["system:authenticated"]],
    ["of no group", "", ["system:authenticated"]],
  ])("%s acts with that group and no other", async (what, groups, acts) => {
    const kubeconfig = await contextOf(`groups-${what.length}`, "--groups", groups);
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const answer = await rawRequest(kubeconfig, "/api/v1/namespaces/default");
    const event = await audit.waitFor(({ auditID }) => auditID === answer.headers["audit-id"], "the request");
    expect(event.impersonatedUser).toMatchObject({ username: alice.email, groups: acts });
  });

  it("is named after its scope, and kubectl finds it by that name", async () => {
    const [row] = kubectls(cluster);
    const merged = own.tunnel.file("kubeconfig-merged");
    await writeFile(merged, await readFile(own.tunnel.kubeconfig, "utf8"));
    const kubectl = row?.kubectl.against(`${merged}:${readOnly}`);
    const contexts = await kubectl?.run(["config", "get-contexts", "-o", "name"]);
    expect(contexts?.stdout.split("\n").sort()).toEqual(["", "fairlead-testbed", "fairlead-testbed:read-only"]);
    const refused = await kubectl?.run(["--context", "fairlead-testbed:read-only", "create", "namespace", "never"]);
    expect(refused?.stderr).toMatch(REFUSED);
  });
});

describeWithNode("a read-only rule at the relay", () => {
  const asAdministrator = (...args: string[]) =>
    own.tunnel.cli({ email: "administrator@fairlead.dev", groups: [] }, ...args);
  const everybody = ["rules", "update", "everybody", "--user", alice.email, "--cluster", "testbed"];

  afterAll(() => asAdministrator(...everybody));

  it.each(streamingKubectls(cluster))("lets $name read, and nothing else, and is explained so", async ({ kubectl }) => {
    await asAdministrator(...everybody, "--read-only");
    const through = kubectl.against(own.tunnel.kubeconfig);
    expect(await through.run(["get", "pods", "p1", "-o", "name"])).toMatchObject({ code: 0, stdout: "pod/p1\n" });
    const exec = await through.run(["exec", "p1", "--", "true"]);
    expect(exec).toMatchObject({ code: 1, stdout: "" });
    expect(exec.stderr).toMatch(
      /fairlead: relay: your access to the cluster testbed is read-only, and "create pods\/exec" is/,
    );
    const asked = ["access", "explain", alice.email, "testbed", "--output", "json"];
    expect(JSON.parse(await asAdministrator(...asked))).toMatchObject({
      access: "read-only",
      rules: [
        { applies: true, reason: "it is for the user alice@example.com and the cluster testbed, for reading only" },
      ],
    });
    await asAdministrator(...everybody);
    expect(await through.run(["exec", "p1", "--", "true"])).toMatchObject({ code: 0 });
  });
});
