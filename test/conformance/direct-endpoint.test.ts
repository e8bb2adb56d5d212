import { readFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:tls";
import { describe, expect, it } from "@jest/globals";
import { AuditLog, actingUser } from "../support/audit-log.ts";
import { setScene } from "../support/scene.ts";
import { alice } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
const { relayUrl, relayCa, tokenFile, cluster: name } = cluster.client;
const url = new URL(relayUrl);
const [ca, token] = await Promise.all([readFile(relayCa), readFile(tokenFile, "utf8")]);
const bearer = `Bearer ${token.trim()}`;

/** Asks by HTTP/2. @returns status and body */
function byHttp2(path: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(url.origin, { ca });
    session.on("error", reject);
    const stream = session.request({ ":path": path, authorization: bearer, ...headers });
    let [status, body] = [0, ""];
    stream.on("response", (head) => (status = Number(head[":status"])));
    stream.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    stream.on("error", reject).on("end", () => {
      session.close();
      resolve({ status, body });
    });
  });
}

/** Asks by HTTP/1.1, on a connection that is closed then. @returns status and body */
function byHttp1(path: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), ca, ALPNProtocols: ["http/1.1"] });
    const all = { Host: url.host, Authorization: bearer, Connection: "close", ...headers };
    const lines = Object.entries(all).map(([header, value]) => `${header}: ${value}\r\n`);
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1");
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("error", reject).on("end", () => {
      const [head = "", body = ""] = text.split("\r\n\r\n", 2);
      resolve({ status: Number(head.split(" ")[1]), body });
    });
  });
}

const EXEC = "/api/v1/namespaces/default/pods/p1/exec?command=true&stdout=true";
const UPGRADE = { Connection: "Upgrade" };
type Ask = (query: string, headers: Record<string, string>) => Promise<{ status: number; body: string }>;
const WAYS: [way: string, ask: Ask][] = [
  ["HTTP/2", (query, headers) => byHttp2(`/clusters/${name}/api/v1/namespaces?${query}`, headers)],
  ["HTTP/1.1", (query, headers) => byHttp1(`/clusters/${name}/api/v1/namespaces?${query}`, headers)],
  [
    "WebSocket",
    (query, headers) => byHttp1(`/clusters/${name}${EXEC}&${query}`, { ...UPGRADE, Upgrade: "websocket", ...headers }),
  ],
  [
    "SPDY",
    (query, headers) => byHttp1(`/clusters/${name}${EXEC}&${query}`, { ...UPGRADE, Upgrade: "SPDY/3.1", ...headers }),
  ],
];
const NAMES = ["impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-a", "impersonate-novel"];

describe("the direct endpoint", () => {
  it.each(NAMES.flatMap((header) => WAYS.map(([way, ask]) => [header, way, ask] as const)))(
    "refuses %s by %s, and tells the apiserver nothing",
    async (header, _way, ask) => {
      const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
      const mark = `mark=${process.hrtime.bigint()}`;
      const { status, body } = await ask(mark, { [header]: "root" });
      expect(status).toBe(403);
      expect(JSON.parse(body).message).toMatch(/^fairlead: identity proxy: /);
      await byHttp2(`/clusters/${name}/version?later-${mark}`, {});
      const later = await audit.waitFor(({ requestURI }) => requestURI.includes(mark), "what was asked");
      expect(later.requestURI).toBe(`/version?later-${mark}`);
    },
  );

  it.each([
    ["HTTP/2", byHttp2],
    ["HTTP/1.1", byHttp1],
  ])("by %s, asks the apiserver as Alice, whatever else says who she is", async (_way, ask) => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const mark = `/version?mark=${process.hrtime.bigint()}`;
    const headers = { "x-remote-user": "root", "x-forwarded-for": "10.0.0.1", "x-remote-group": "system:masters" };
    expect((await ask(`/clusters/${name}${mark}`, headers)).status).toBe(200);
    const event = await audit.waitFor(({ requestURI }) => requestURI === mark, "the request");
    expect(actingUser(event)).toBe(alice.email);
    expect(event.impersonatedUser?.groups).not.toContain("system:masters");
  });

  it.each([
    ["a dot segment", `/clusters/${name}/../other/version`],
    ["an encoded one", `/clusters/${name}/%2e%2e/other/version`],
    ["an encoded slash behind a name", `/clusters/${name}%2f..%2fother/version`],
    ["another's name in capitals", `/clusters/${name.toUpperCase()}/version`],
  ])("lets nobody out of a cluster's path by %s", async (_what, path) => {
    for (const ask of [byHttp2, byHttp1]) expect((await ask(path, {})).status).toBe(400);
  });
});

describeWithNode("the direct endpoint, for a page in a browser that has a token", () => {
  it("takes it as a subprotocol, and the apiserver sees none of it", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const own = `base64url.bearer.authorization.k8s.io.${Buffer.from(token.trim()).toString("base64url")}`;
    const headers = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
      "Sec-WebSocket-Protocol": `v5.channel.k8s.io, ${own}`,
    };
    const mark = `${EXEC}&command=${process.hrtime.bigint()}`;
    const socket = connect({ host: url.hostname, port: Number(url.port), ca });
    const lines = Object.entries({ Host: url.host, ...headers }).map(([header, value]) => `${header}: ${value}\r\n`);
    socket.write(`GET /clusters/${name}${mark} HTTP/1.1\r\n${lines.join("")}\r\n`);
    const first = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    expect(first.toString("latin1")).toMatch(
      /^HTTP\/1\.1 101 .*\r\n(.*\r\n)*Sec-Websocket-Protocol: v5\.channel\.k8s\.io\r\n/i,
    );
    socket.destroy();
    const event = await audit.waitFor(({ requestURI }) => requestURI === mark, "the exec");
    expect(actingUser(event)).toBe(alice.email);
    expect(JSON.stringify(event)).not.toContain("base64url");
  });
});
