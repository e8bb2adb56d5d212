import { once } from "node:events";
import { copyFile, writeFile } from "node:fs/promises";
import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { request } from "node:https";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { CertificateAuthority } from "@fairlead/certificates";
import { ClusterSchema, ClusterState, ErrorCode, ErrorSchema, FairleadError, Hop } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { readRelayConfig } from "./config.ts";
import { startRelay } from "./relay.ts";
import { issueRelayTls, RelayFixture, type RelayTls, type Rpc } from "./relay-fixture.ts";

const LIST = "/fairlead.cluster.v1alpha1.ClusterService/ListClusters";

let tls: RelayTls;
let relay: RelayFixture;

beforeAll(async () => {
  tls = await issueRelayTls();
});

beforeEach(async () => {
  relay = await RelayFixture.start(tls);
});

afterEach(() => relay.close());

/** The fault that a call ends with, as a client reads it from the error's detail. */
async function faultOf(call: Promise<unknown>): Promise<FairleadError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error(`no fault, but ${error}`);
  const [detail] = error.findDetails(ErrorSchema);
  if (detail === undefined) throw new Error(`a fault without detail: ${error.message}`);
  return FairleadError.fromMessage(detail);
}

interface HttpAnswer {
  status: number;
  body: string;
}

/** A request by HTTP/1.1. */
async function http1(method: string, path: string, headers: OutgoingHttpHeaders = {}, body = ""): Promise<HttpAnswer> {
  const { hostname, port } = relay.url;
  const sent = request({ host: hostname, port, ca: tls.ca, method, path, headers, agent: false });
  sent.end(body);
  const [response] = await once(sent, "response");
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, body: text };
}

/** A request by HTTP/2. */
async function http2(method: string, path: string, headers: OutgoingHttpHeaders = {}, body = ""): Promise<HttpAnswer> {
  const session = connectHttp2(relay.url, { ca: tls.ca });
  try {
    return await onSession(session, method, path, headers, body);
  } finally {
    session.close();
  }
}

async function onSession(
  session: ClientHttp2Session,
  method: string,
  path: string,
  headers: OutgoingHttpHeaders = {},
  body = "",
): Promise<HttpAnswer> {
  const stream = session.request({ ":method": method, ":path": path, ...headers }, { endStream: body === "" });
  if (body !== "") stream.end(body);
  const [answer] = await once(stream, "response");
  let text = "";
  for await (const chunk of stream) text += chunk;
  return { status: Number(answer[":status"]), body: text };
}

const PROTOCOLS: [name: string, send: typeof http1][] = [
  ["HTTP/1.1", http1],
  ["HTTP/2", http2],
];
const bearer = (token: string) => ({ Authorization: `Bearer ${token}`, "Content-Type": "application/json" });

describe.each(PROTOCOLS)("by %s, the relay", (_name, send) => {
  it("says to anybody that it is there", async () => {
    expect(await send("GET", "/healthz")).toEqual({ status: 200, body: "ok" });
  });

  it("lists clusters as JSON", async () => {
    await relay.makeCluster("prod");
    await relay.makeCluster("others", []);
    const answer = await send("POST", LIST, bearer(relay.token("jane")), "{}");
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({
      clusters: [{ name: "prod", state: "CLUSTER_STATE_OFFLINE", stateTime: expect.stringMatching(/^20.*Z$/) }],
    });
  });

  it("answers without token with 401, and says so as JSON", async () => {
    const answer = await send("POST", LIST, { "Content-Type": "application/json" }, "{}");
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.body)).toMatchObject({
      code: "unauthenticated",
      message: expect.stringMatching(/no token/),
    });
  });

  it.each([
    ["a token of nobody", () => bearer("x.y.z"), 401],
    ["basic credentials", () => ({ Authorization: "Basic cm9vdDpyb290", "Content-Type": "application/json" }), 401],
    ["an expired token", () => bearer(relay.issuer.token({ exp: 1 })), 401],
  ])("answers %s with 401", async (_what, headers, status) => {
    expect((await send("POST", LIST, headers(), "{}")).status).toBe(status);
  });

  it("refuses what is no administrator's with 403", async () => {
    const path = LIST.replace("ListClusters", "CreateCluster");
    const answer = await send("POST", path, bearer(relay.token("jane")), '{"name":"mine"}');
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "permission_denied" });
  });

  it("refuses what is no JSON with 400", async () => {
    expect((await send("POST", LIST, bearer(relay.token("jane")), "{")).status).toBe(400);
  });

  it("takes a token of 50 KiB, such as one with 2,000 groups", async () => {
    const groups = Array.from({ length: 2_000 }, (_, i) => `group-number-${i}`);
    const token = relay.token("jane", ...groups);
    expect(token.length).toBeGreaterThan(50_000); // HTTP/2 has at most 64 KiB for one header in nghttp2
    expect((await send("POST", LIST, bearer(token), "{}")).status).toBe(200);
  });

  it("refuses a call of more than 64 KiB, before it is known whose it is", async () => {
    const body = JSON.stringify({ name: "x".repeat(70_000) });
    const path = LIST.replace("ListClusters", "CreateCluster");
    for (const headers of [bearer(relay.token("root")), { "Content-Type": "application/json" }]) {
      const answer = await send("POST", path, headers, body);
      expect(answer.status).toBe(429);
      expect(JSON.parse(answer.body)).toMatchObject({ code: "resource_exhausted" });
    }
    expect((await relay.as("root").clusters.listClusters({})).clusters).toEqual([]);
  });

  it.each([
    ["GET", "/", 404],
    ["GET", "/healthz/", 404],
    ["POST", "/healthz", 404],
    ["GET", "/metrics", 404],
    ["GET", "/readyz", 404],
    ["GET", "/../../etc/passwd", 404],
    ["POST", "/fairlead.cluster.v1alpha1.ClusterService/Nothing", 404],
    ["POST", "/fairlead.tunnel.v1alpha1.Unknown/Exchange", 404],
    ["GET", LIST, 405],
  ])("has nothing at %s %s", async (method, path, status) => {
    expect((await send(method, path)).status).toBe(status);
  });
});

describe("an administrator's call", () => {
  const calls: [name: string, call: (rpc: Rpc) => Promise<unknown>][] = [
    ["CreateCluster", ({ clusters }) => clusters.createCluster({ name: "mine" })],
    ["CreateJoinToken", ({ clusters }) => clusters.createJoinToken({ cluster: "prod" })],
    ["DeleteCluster", ({ clusters }) => clusters.deleteCluster({ name: "prod" })],
    ["DeleteCluster of one that is not there", ({ clusters }) => clusters.deleteCluster({ name: "none" })],
    ["ListAccessRules", ({ accessRules }) => accessRules.listAccessRules({})],
    [
      "CreateAccessRule",
      ({ accessRules }) =>
        accessRules.createAccessRule({ accessRule: { name: "mine", users: ["jane"], clusters: ["*"] } }),
    ],
    [
      "UpdateAccessRule",
      ({ accessRules }) =>
        accessRules.updateAccessRule({ accessRule: { name: "prod", users: ["joe"], clusters: ["*"] } }),
    ],
    ["DeleteAccessRule", ({ accessRules }) => accessRules.deleteAccessRule({ name: "prod" })],
    ["ExplainAccess", ({ accessRules }) => accessRules.explainAccess({ user: "jane", cluster: "prod" })],
  ];

  beforeEach(() => relay.makeCluster("prod"));

  it.each(calls)("%s is refused to everybody else, and changes nothing", async (_name, call) => {
    for (const rpc of [relay.as("jane"), relay.as("joe", "root"), relay.as("Root")]) {
      const fault = await faultOf(call(rpc));
      expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.RELAY });
      expect(fault.message).toMatch(/is not an administrator of this relay; ask one of them/);
    }
    const root = relay.as("root");
    expect((await root.clusters.listClusters({})).clusters.map(({ name }) => name)).toEqual(["prod"]);
    expect((await root.accessRules.listAccessRules({})).accessRules.map(({ name }) => name)).toEqual(["prod"]);
  });

  it.each(calls)("%s is refused to nobody", async (_name, call) => {
    expect(await faultOf(call(relay.rpc(undefined)))).toMatchObject({ code: ErrorCode.TOKEN_REFUSED, hop: Hop.RELAY });
    expect(await faultOf(call(relay.rpc("x.y.z")))).toMatchObject({ code: ErrorCode.TOKEN_REFUSED, hop: Hop.RELAY });
  });
});

describe("the control plane", () => {
  it("makes a cluster, shows its join token once, and removes it", async () => {
    const root = relay.as("root").clusters;
    const made = await root.createCluster({ name: "prod", labels: { env: "prod" } });
    expect(made.cluster).toMatchObject({ name: "prod", labels: { env: "prod" }, state: ClusterState.CONNECTING });
    expect(made.joinToken?.token).toMatch(/^flj_[\w-]{43}$/);
    expect(Number(made.joinToken?.expireTime?.seconds) - Date.now() / 1_000).toBeLessThanOrEqual(1_800);
    const { clusters } = await root.listClusters({});
    expect(clusters).toMatchObject([{ name: "prod", labels: { env: "prod" } }]);
    expect(JSON.stringify(clusters.map((each) => toJson(ClusterSchema, each)))).not.toContain("flj_");
    await root.deleteCluster({ name: "prod" });
    expect((await root.listClusters({})).clusters).toEqual([]);
    expect(await faultOf(root.deleteCluster({ name: "prod" }))).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
  });

  it("makes no two clusters and no two rules of one name", async () => {
    await relay.makeCluster("prod");
    const { clusters, accessRules } = relay.as("root");
    expect(await faultOf(clusters.createCluster({ name: "prod" }))).toMatchObject({ code: ErrorCode.ALREADY_EXISTS });
    const accessRule = { name: "prod", users: ["joe"], clusters: ["*"] };
    expect(await faultOf(accessRules.createAccessRule({ accessRule }))).toMatchObject({
      code: ErrorCode.ALREADY_EXISTS,
    });
  });

  it("makes no rule from nothing", async () => {
    const { accessRules } = relay.as("root");
    expect(await faultOf(accessRules.createAccessRule({}))).toMatchObject({ code: ErrorCode.MALFORMED_REQUEST });
    expect(await faultOf(accessRules.createAccessRule({ accessRule: { name: "a" } }))).toMatchObject({
      code: ErrorCode.MALFORMED_REQUEST,
    });
  });

  it("makes no rule with a time that is no date", async () => {
    const accessRule = { name: "a", users: ["jane"], clusters: ["*"], expireTime: { seconds: 2n ** 62n, nanos: 0 } };
    expect(await faultOf(relay.as("root").accessRules.createAccessRule({ accessRule }))).toMatchObject({
      code: ErrorCode.MALFORMED_REQUEST,
    });
  });

  it("changes a rule as a whole, and none that is not there", async () => {
    const { accessRules } = relay.as("root");
    const [notBeforeTime, expireTime] = [timestampFromMs(1_000), timestampFromMs(4_000_000_000_123)];
    const narrow = { userPrefixes: ["repo:a/"], readOnly: true, notBeforeTime, expireTime };
    await accessRules.createAccessRule({ accessRule: { name: "a", clusters: ["*"], ...narrow } });
    expect((await accessRules.listAccessRules({})).accessRules).toMatchObject([narrow]);
    await accessRules.updateAccessRule({ accessRule: { name: "a", users: ["jane"], clusters: ["b"] } });
    const [rule] = (await accessRules.listAccessRules({})).accessRules;
    expect(rule).toMatchObject({ users: ["jane"], userPrefixes: [], clusters: ["b"], readOnly: false });
    expect([rule?.notBeforeTime, rule?.expireTime]).toEqual([undefined, undefined]);
    for (const accessRule of [{ name: "b", users: ["jane"], clusters: ["b"] }, { name: "a" }, undefined]) {
      const changed = accessRules.updateAccessRule(accessRule ? { accessRule } : {});
      expect(await faultOf(changed)).toMatchObject({ code: ErrorCode.MALFORMED_REQUEST });
    }
  });

  it("gives back rules as they were made", async () => {
    const { accessRules } = relay.as("root");
    const rule = { name: "a", users: ["jane"], groups: ["dev"], clusters: ["*"], clusterLabels: { env: "prod" } };
    expect((await accessRules.createAccessRule({ accessRule: rule })).accessRule).toMatchObject(rule);
    expect((await accessRules.listAccessRules({})).accessRules).toMatchObject([rule]);
    await accessRules.deleteAccessRule({ name: "a" });
    expect((await accessRules.listAccessRules({})).accessRules).toEqual([]);
    expect(await faultOf(accessRules.deleteAccessRule({ name: "a" }))).toMatchObject({
      code: ErrorCode.MALFORMED_REQUEST,
    });
  });

  it("shows a caller what they may reach, an administrator all", async () => {
    for (const name of ["a", "b", "c"]) await relay.makeCluster(name, name === "b" ? ["jane"] : []);
    const names = async (rpc: Rpc) => (await rpc.clusters.listClusters({})).clusters.map(({ name }) => name);
    expect(await names(relay.as("jane"))).toEqual(["b"]);
    expect(await names(relay.as("joe"))).toEqual([]);
    expect(await names(relay.as("root"))).toEqual(["a", "b", "c"]);
  });

  it("names a kubeconfig's context for a cluster that the caller may reach", async () => {
    await relay.makeCluster("prod");
    const answer = await relay.as("jane").clusters.getKubeconfig({ cluster: "prod" });
    expect(answer).toMatchObject({ cluster: { name: "prod" }, contextName: "fairlead-prod", namespace: "" });
  });

  it.each([
    [{}, "/clusters/prod"],
    [{ domain: "k8s.example.com:8443" }, "https://prod.k8s.example.com:8443"],
    [{ enabled: false, domain: "k8s.example.com" }, ""],
  ])("tells where the cluster is without a client proxy: with direct %j it is %j", async (direct, url) => {
    relay.direct = direct;
    await relay.stop(0);
    await relay.startAgain();
    await relay.makeCluster("prod");
    expect((await relay.as("jane").clusters.getKubeconfig({ cluster: "prod" })).directUrl).toBe(url);
  });

  it("says the same of a cluster of others and of one that is not there", async () => {
    await relay.makeCluster("prod", []);
    const [of, none] = await Promise.all(
      ["prod", "none"].map(async (cluster) => {
        const fault = await faultOf(relay.as("jane").clusters.getKubeconfig({ cluster }));
        return { ...fault.toMessage(), message: fault.message.replaceAll(cluster, "NAME") };
      }),
    );
    expect(of).toEqual(none);
    expect(of?.code).toBe(ErrorCode.CLUSTER_UNKNOWN);
    const [json, jsonNone] = await Promise.all(
      ["prod", "none"].map(async (cluster) => {
        const path = LIST.replace("ListClusters", "GetKubeconfig");
        const answer = await http1("POST", path, bearer(relay.token("jane")), JSON.stringify({ cluster }));
        return { ...answer, body: JSON.parse(answer.body.replaceAll(cluster, "NAME")).message };
      }),
    );
    expect(json).toEqual(jsonNone);
  });

  it("names no part of a token in what it refuses", async () => {
    const token = relay.issuer.token({ sub: "jane", exp: 1, jti: "canary-7f3a" });
    const answer = await http1("POST", LIST, bearer(token), "{}");
    for (const part of [...token.split("."), "canary"]) expect(answer.body).not.toContain(part);
    expect(relay.logged.join()).not.toContain(token.split(".")[1]);
  });
});

describe("the relay's memory", () => {
  it("is its database: clusters, rules and who has joined are there when it starts again", async () => {
    await relay.makeCluster("prod");
    await relay.stop(0);
    await relay.startAgain();
    const { clusters } = await relay.as("jane").clusters.listClusters({});
    expect(clusters).toMatchObject([{ name: "prod", state: ClusterState.OFFLINE }]);
    const { accessRules } = await relay.as("root").accessRules.listAccessRules({});
    expect(accessRules).toMatchObject([{ name: "prod", users: ["jane"], clusters: ["prod"] }]);
  });
});

describe("a relay cannot start", () => {
  const silent = { debug() {}, info() {}, warn() {}, error() {} } as unknown as Logger;
  const startWith = async (change: (yaml: string) => string) => {
    const file = join(relay.folder, "other.yaml");
    const own = `listen: 127.0.0.1:0\ntls: {certFile: tls.crt, keyFile: tls.key}\ndatabase: other.sqlite\nauthentication: authentication.yaml\n`;
    await writeFile(file, change(own));
    return startRelay(await readRelayConfig(file), silent);
  };

  it("on a port that is taken", async () => {
    await expect(startWith((yaml) => yaml.replace("127.0.0.1:0", relay.url.host))).rejects.toThrow(/EADDRINUSE/);
  });

  it("without its certificate", async () => {
    await expect(startWith((yaml) => yaml.replace("tls.crt", "missing.crt"))).rejects.toThrow(/missing\.crt/);
  });

  it("with a key that is not its certificate's", async () => {
    const stranger = await (await CertificateAuthority.create("x", 1)).issue({ commonName: "x", days: 1 });
    await writeFile(join(relay.folder, "stranger.key"), stranger.key);
    await expect(startWith((yaml) => yaml.replace("tls.key", "stranger.key"))).rejects.toThrow(/key values mismatch/i);
  });

  it("with an authentication configuration that is refused, and names the field", async () => {
    await writeFile(
      join(relay.folder, "authentication.yaml"),
      "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\n",
    );
    await expect(startWith((yaml) => yaml)).rejects.toThrow(/authentication\.yaml: jwt: name at least one issuer/);
  });

  it("on a database that is none", async () => {
    await copyFile(join(relay.folder, "relay.yaml"), join(relay.folder, "other.sqlite"));
    await expect(startWith((yaml) => yaml)).rejects.toThrow(/not a database/);
  });
});

describe("the relay lives on", () => {
  afterEach(async () => {
    expect((await http1("GET", "/healthz")).status).toBe(200);
  });

  it("when a peer resets a stream that is none of ours, in any way", async () => {
    const session = connectHttp2(relay.url, { ca: tls.ca });
    for (const path of ["/nope", "/healthz", LIST, LIST.replace("ListClusters", "Nothing")]) {
      for (const code of [0x1, 0x2, 0x7, 0x8, 0xb]) {
        const stream = session.request({ ":method": "POST", ":path": path });
        stream.on("error", () => {});
        stream.write("x");
        stream.close(code);
        await new Promise<void>((resolve) => stream.on("close", resolve));
      }
    }
    expect((await onSession(session, "GET", "/healthz")).status).toBe(200);
    session.close();
  });

  it("when a peer asks without a path, or with an authority or a path that is no URL", async () => {
    const session = connectHttp2(relay.url, { ca: tls.ca });
    const strange = [
      { ":method": "CONNECT", ":authority": "evil.example:443" },
      { ":method": "GET", ":path": "*", ":scheme": "https" },
      { ":method": "GET", ":path": "/%", ":scheme": "https" },
      { ":method": "GET", ":path": "//[", ":scheme": "https" },
      { ":method": "POST", ":path": LIST, ":authority": "[", "content-type": "application/json" },
      { ":method": "POST", ":path": `${LIST}?%`, ":authority": "%", "content-type": "application/json" },
    ];
    for (const headers of strange) {
      const stream = session.request(headers, { endStream: true });
      stream.on("error", () => {});
      const status = new Promise<number>((resolve) => {
        stream.on("response", (answer) => resolve(Number(answer[":status"])));
        stream.on("close", () => resolve(0));
      });
      stream.resume();
      expect([headers, await status]).toEqual([headers, expect.any(Number)]);
      expect(await status).not.toBe(200);
    }
    expect((await onSession(session, "GET", "/healthz")).status).toBe(200);
    session.close();
  });

  it("when a peer speaks garbage, or plain text, or asks for an upgrade", async () => {
    const { hostname, port } = relay.url;
    for (const text of [
      "garbage\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ]) {
      const socket = connectTls({ host: hostname, port: Number(port), ca: tls.ca, ALPNProtocols: ["http/1.1"] });
      await once(socket, "secureConnect");
      socket.write(text);
      const [answer] = await once(socket, "data");
      expect(String(answer)).toMatch(/^HTTP\/1\.1 (400|404)/);
      socket.destroy();
    }
  });

  it("when a peer ends its connection in the middle of a call", async () => {
    const session = connectHttp2(relay.url, { ca: tls.ca });
    session.on("error", () => {});
    const stream = session.request({ ":method": "POST", ":path": LIST, ...bearer(relay.token("jane")) });
    stream.on("error", () => {});
    stream.write("{");
    session.destroy();
    await new Promise<void>((resolve) => stream.on("close", resolve));
  });
});
