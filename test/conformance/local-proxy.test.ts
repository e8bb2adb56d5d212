import { describe, expect, it } from "@jest/globals";
import { AuditLog, actingUser } from "../support/audit-log.ts";
import { createNamespace } from "../support/namespace.ts";
import { rawExchange } from "../support/raw-exchange.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { alice } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();

describe("heads at every hop", () => {
  it("of almost 1 MiB reach the apiserver", async () => {
    const answer = await rawRequest(cluster.kubeconfig, "/version", ["X-Large", "x".repeat(1_000_000)]);
    expect(answer.status).toBe(200);
  });

  it("of more than 1 MiB are answered with 431 and a Status", async () => {
    const answer = await rawRequest(cluster.kubeconfig, "/version", ["X-Large", "x".repeat(1_100_000)]);
    expect(answer.status).toBe(431);
    expect(JSON.parse(answer.body)).toMatchObject({ kind: "Status", code: 431 });
    expect(JSON.parse(answer.body).message).toMatch(/fairlead: client proxy: .*larger than 1 MiB/);
  });
});

describe("the local proxy", () => {
  it("refuses a web page, by its Origin", async () => {
    const answer = await rawRequest(cluster.kubeconfig, "/version", ["Origin", "https://example.com"]);
    expect(answer.status).toBe(403);
  });

  const malformed: [string, string][] = [
    ["a foreign Host (DNS rebinding)", "GET /version HTTP/1.1\r\nHost: evil.example\r\n"],
    ["no credential", "GET /version HTTP/1.1\r\nHost: HOST\r\n"],
    ["a wrong credential", "GET /version HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer wrong\r\n"],
    ["two Host headers", "GET /version HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\nAUTH\r\n"],
    ["two Authorization headers", "GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nAUTH\r\n"],
    ["an absolute target", "GET http://evil.example/ HTTP/1.1\r\nHost: HOST\r\nAUTH\r\n"],
    ["a backslash in the target", "GET /..\\..\\version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\n"],
    ["an h2c upgrade", "GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"],
  ];

  it.each(malformed)("refuses %s", async (_, head) => {
    expect((await rawExchange(cluster.kubeconfig, head)).answer).toMatch(/^HTTP\/1\.1 (400|401|403) /);
  });

  const ambiguous: [string, string][] = [
    [
      "Content-Length with Transfer-Encoding",
      "POST /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ],
    [
      "two Content-Lengths",
      "POST /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
    ],
    ["a folded header", "GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nX-Fold: a\r\n b\r\n"],
    ["a bare CR", "GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nX-Bare: a\rb\r\n"],
    ["NUL", "GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nX-Nul: a\0b\r\n"],
  ];

  it.each(ambiguous)("answers 400 to %s, and closes the connection", async (_, head) => {
    const { answer, isClosed } = await rawExchange(cluster.kubeconfig, head);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(isClosed).toBe(true);
  });

  const strange = [
    "//evil.example/version",
    "/@evil.example/version",
    "/api/../version",
    "/%2e%2e/%2e%2e/version",
    "/api%2fv1",
  ];

  it.each(strange)("sends a strange target to the cluster and nowhere else, as it is: %s", async (target) => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await rawExchange(cluster.kubeconfig, `GET ${target} HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nConnection: close\r\n`);
    const event = await audit.waitFor(({ requestURI }) => requestURI === target, "the request");
    expect(actingUser(event)).toBe(alice.email);
  });
});

describe("an upgrade that is not answered by 101", () => {
  it("leaves no raw connection: what is sent behind it reaches nobody", async () => {
    const upgrade = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
    const smuggled = "/api/v1/namespaces?limit=4711";
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const { answer, isClosed } = await rawExchange(
      cluster.kubeconfig,
      `GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\n${upgrade}\r\nGET ${smuggled} HTTP/1.1\r\nHost: HOST\r\nAUTH\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(isClosed).toBe(true);
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    await rawRequest(cluster.kubeconfig, "/readyz");
    await audit.waitFor(({ requestURI }) => requestURI === "/readyz", "a request after it");
    expect((await audit.read()).filter(({ requestURI }) => requestURI === smuggled)).toEqual([]);
  });
});

describe("a redirect of the apiserver's", () => {
  it("is returned, and not followed", async () => {
    const namespace = await createNamespace(admin);
    const pods = `/api/v1/namespaces/${namespace}/pods`;
    await admin.create(pods, { metadata: { name: "far" }, spec: { containers: [{ name: "c", image: "none" }] } });
    await admin.patch(`${pods}/far/status`, { status: { podIP: "192.0.2.7", podIPs: [{ ip: "192.0.2.7" }] } });
    const target = `${pods}/far/proxy`;
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const answer = await rawRequest(cluster.kubeconfig, target);
    expect([answer.status, answer.headers.location]).toEqual([301, `${target}/`]);
    await audit.waitFor(({ requestURI }) => requestURI === target, "the request");
    expect((await audit.read()).filter(({ requestURI }) => requestURI === `${target}/`)).toEqual([]);
  });
});

describeWithNode("a WebSocket whose credential is in its subprotocol, as a browser's has to be", () => {
  const exec = (protocols: string) =>
    rawExchange(
      cluster.kubeconfig,
      [
        "GET /api/v1/namespaces/default/pods/p1/exec?command=true&stdout=true HTTP/1.1",
        ...["Host: HOST", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
        ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", `Sec-WebSocket-Protocol: ${protocols}`, ""],
      ].join("\r\n"),
    );

  it("is let in by it, and it is not in the cluster's answer", async () => {
    const { answer } = await exec("base64url.bearer.authorization.k8s.io.TOKEN64, v5.channel.k8s.io");
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(answer).toMatch(/^sec-websocket-protocol: v5\.channel\.k8s\.io\r$/im);
  });

  it("is refused without it, and with a wrong one", async () => {
    expect((await exec("v5.channel.k8s.io")).answer).toMatch(/^HTTP\/1\.1 401 /);
    const wrong = await exec("base64url.bearer.authorization.k8s.io.d3Jvbmc, v5.channel.k8s.io");
    expect(wrong.answer).toMatch(/^HTTP\/1\.1 401 /);
  });
});
