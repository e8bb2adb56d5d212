import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TokenVerifier } from "@fairlead/authentication";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, exchangeIdText, GrpcConnection, Hop, newExchangeId } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { Apiserver } from "./apiserver.ts";
import { ApiserverFixture, type KeyPair, valuesOf } from "./apiserver-fixture.ts";
import { Callers } from "./callers.ts";
import { CarryOn } from "./carry-on.ts";
import { ListedServices } from "./forward/listed-services.ts";
import { ServiceForwards } from "./forward/service-forwards.ts";
import { identityProxy } from "./identity-proxy.ts";
import { IssuerFixture } from "./issuer-fixture.ts";
import { LaneServer } from "./lane-server.ts";
import { faultOf, headerLines, Requester } from "./requester-fixture.ts";
import { rightsTo } from "./rights-fixture.ts";

const BEARER = "base64url.bearer.authorization.k8s.io.";
const CANARY = "canary-7f3a";

let authority: CertificateAuthority;
let tls: KeyPair;
let issuer: IssuerFixture;
let cluster: ApiserverFixture;
let apiserver: Apiserver;
let server: LaneServer;
let client: GrpcConnection;
let requester: Requester;
let folder: string;
let logged: string[];

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "server", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  issuer = await IssuerFixture.start(tls, authority.pem);
  cluster = await ApiserverFixture.start(tls, authority.pem);
  apiserver = new Apiserver({ kubeconfig: await cluster.kubeconfig({ token: "own-token" }), context: undefined });
  logged = [];
  const verifier = new TokenVerifier([issuer.configuration({ uid: { claim: "oid", prefix: "" } })], Hop.IDENTITY_PROXY);
  const [callers, log] = [new Callers(verifier), recordingLog()];
  const forwards = new ServiceForwards(new ListedServices(), apiserver);
  server = new LaneServer(
    { kind: "unix", path: join(folder, "s", "identity.sock") },
    {
      prepareFor: identityProxy({
        cluster: "prod",
        callers,
        apiserver,
        rights: rightsTo("uids"),
        log,
        carryOn: new CarryOn(callers, log),
        forwards,
      }),
    },
  );
  const path = (await server.start()).slice("unix:".length);
  client = new GrpcConnection(() => ({ path }));
  requester = new Requester(client);
  await requester.opened;
});

afterEach(async () => {
  client.close();
  await server.stop(0);
  (await apiserver.connection().catch(() => undefined))?.pool.retire();
  await Promise.all([issuer.close(), cluster.close()]);
  await rm(folder, { recursive: true });
});

function recordingLog(): Logger {
  const write = (...args: unknown[]) => void logged.push(JSON.stringify(args));
  return { debug: write, info: write, warn: write, error: write } as unknown as Logger;
}

const jane = (claims: Record<string, unknown> = {}) => issuer.token({ oid: "42", jti: CANARY, ...claims });

/** A request of Jane's, with more headers. */
const asJane = (...lines: [string, string][]) => ({
  headers: headerLines(["Authorization", `Bearer ${jane({ groups: ["dev", "ops"] })}`], ...lines),
});

describe("a request through the identity proxy", () => {
  it("reaches the apiserver as the person whose token it carries", async () => {
    const exchangeId = newExchangeId();
    cluster.answer = (_seen, response) => response.writeHead(200, { "X-Answer": "é" }).end("the answer");
    const answer = await requester.exchange({ ...asJane(["Accept", "application/json"]), exchangeId });
    expect(answer).toMatchObject({ status: 200, body: "the answer", error: undefined });
    const [seen] = cluster.seen;
    expect(seen).toMatchObject({ method: "GET", url: "/api/v1/namespaces" });
    expect(valuesOf(seen, "impersonate-user")).toEqual(["jane"]);
    expect(valuesOf(seen, "impersonate-group")).toEqual(["dev", "ops"]);
    expect(valuesOf(seen, "impersonate-uid")).toEqual(["42"]);
    expect(valuesOf(seen, "authorization")).toEqual(["Bearer own-token"]);
    expect(valuesOf(seen, "host")).toEqual([new URL(cluster.url).host]);
    expect(valuesOf(seen, "audit-id")).toEqual([exchangeIdText(exchangeId)]);
    expect(valuesOf(seen, "accept")).toEqual(["application/json"]);
  });

  it("names users and groups that are not ASCII exactly, byte for byte", async () => {
    const token = jane({ sub: "jürgen-测试-👩", groups: ["Größe", "开发者", "a, b"] });
    await requester.exchange({ headers: headerLines(["Authorization", `Bearer ${token}`]) });
    expect(valuesOf(cluster.seen[0], "impersonate-user")).toEqual(["jürgen-测试-👩"]);
    expect(valuesOf(cluster.seen[0], "impersonate-group")).toEqual(["Größe", "开发者", "a, b"]);
  });

  it("carries 10,000 groups, each on its own line", async () => {
    const groups = Array.from({ length: 10_000 }, (_, i) => `group-${i}`);
    await requester.exchange({ headers: headerLines(["Authorization", `Bearer ${jane({ groups })}`]) });
    expect(valuesOf(cluster.seen[0], "impersonate-group")).toEqual(groups);
  });

  it("with a whole body has one Content-Length, the body's own", async () => {
    await requester.exchange({ ...asJane(["Content-Length", "11"]), method: "POST" }, "hello world");
    expect(valuesOf(cluster.seen[0], "content-length")).toEqual(["11"]);
    expect(valuesOf(cluster.seen[0], "transfer-encoding")).toEqual([]);
    expect(cluster.seen[0]?.body).toBe("hello world");
  });

  it("with a Content-Length that is not its body's never reaches the apiserver", async () => {
    await requester.exchange({ ...asJane(["Content-Length", "5"]), method: "POST" }, "hello world");
    expect(cluster.seen).toEqual([]);
  });

  it("cannot smuggle a second one behind a body that is longer than its Content-Length", async () => {
    requester.begin({ ...asJane(["Content-Length", "5"]), method: "POST" });
    requester.end("helloGET /api/v1/secrets HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(faultOf(await requester.answer())).toMatchObject({ code: ErrorCode.MALFORMED_REQUEST });
    expect(cluster.seen.filter(({ url }) => url.includes("secrets"))).toEqual([]);
  });

  it("loses the caller's own claims of who they are", async () => {
    await requester.exchange(
      asJane(
        ["X-Remote-User", "root"],
        ["x-remote-group", "system:masters"],
        ["Audit-ID", "theirs"],
        ["X-Forwarded-For", "1.2.3.4"],
      ),
    );
    const [seen] = cluster.seen;
    for (const name of ["x-remote-user", "x-remote-group", "x-forwarded-for"]) expect(valuesOf(seen, name)).toEqual([]);
    expect(valuesOf(seen, "audit-id")).not.toContain("theirs");
    expect(valuesOf(seen, "impersonate-user")).toEqual(["jane"]);
  });

  it.each(["Impersonate-User", "Impersonate-User, Authorization", "Audit-ID, Impersonate-Group"])(
    "is still impersonated although Connection names %s",
    async (connection) => {
      await requester.exchange(asJane(["Connection", connection]));
      const [seen] = cluster.seen;
      expect(valuesOf(seen, "impersonate-user")).toEqual(["jane"]);
      expect(valuesOf(seen, "impersonate-group")).toEqual(["dev", "ops"]);
      expect(valuesOf(seen, "authorization")).toEqual(["Bearer own-token"]);
      expect(valuesOf(seen, "audit-id")).toHaveLength(1);
      expect(valuesOf(seen, "connection").join().toLowerCase()).not.toContain("impersonate");
    },
  );

  it("that asks for an upgrade is impersonated too, and its bearer subprotocol stays here", async () => {
    const bearer = BEARER + Buffer.from(jane()).toString("base64url");
    requester.begin({
      headers: headerLines(["Sec-WebSocket-Protocol", bearer], ["Sec-WebSocket-Protocol", "v5.channel.k8s.io"]),
      upgrade: "websocket",
      target: "/api/v1/namespaces/default/pods/p1/exec",
    });
    expect(await requester.headed).toBe(403); // the fixture refuses every upgrade: what counts is how it came
    requester.end();
    await requester.answer();
    const [seen] = cluster.seen;
    expect(valuesOf(seen, "impersonate-user")).toEqual(["jane"]);
    expect(valuesOf(seen, "authorization")).toEqual(["Bearer own-token"]);
    expect(valuesOf(seen, "sec-websocket-protocol")).toEqual(["v5.channel.k8s.io"]);
    expect(valuesOf(seen, "upgrade")).toEqual(["websocket"]);
    expect(valuesOf(seen, "connection")).toEqual(["Upgrade"]);
  });
});

describe("a request that never reaches the apiserver", () => {
  it("is for another cluster, though its caller may come in here too", async () => {
    const answer = await requester.exchange({ ...asJane(), cluster: "staging" });
    expect(faultOf(answer)).toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      hop: Hop.IDENTITY_PROXY,
      message: expect.stringContaining('for the cluster "staging", and this is another'),
    });
    expect(cluster.seen).toEqual([]);
  });

  const refused: [what: string, head: () => Parameters<Requester["exchange"]>[0], code: ErrorCode][] = [
    ["has no token", () => ({}), ErrorCode.TOKEN_REFUSED],
    [
      "has a token of nobody",
      () => ({ headers: headerLines(["Authorization", "Bearer x.y.z"]) }),
      ErrorCode.TOKEN_REFUSED,
    ],
    [
      "has an expired token",
      () => ({ headers: headerLines(["Authorization", `Bearer ${jane({ exp: 1 })}`]) }),
      ErrorCode.TOKEN_REFUSED,
    ],
    [
      "has a token without the mapped uid",
      () => ({ headers: headerLines(["Authorization", `Bearer ${issuer.token({ jti: CANARY })}`]) }),
      ErrorCode.TOKEN_REFUSED,
    ],
    [
      "has a token for system:masters",
      () => ({ headers: headerLines(["Authorization", `Bearer ${jane({ groups: ["system:masters"] })}`]) }),
      ErrorCode.TOKEN_REFUSED,
    ],
    [
      "has a basic credential",
      () => ({ headers: headerLines(["Authorization", "Basic amFuZTpwYXNz"]) }),
      ErrorCode.TOKEN_REFUSED,
    ],
    ["has two credentials", () => asJane(["Authorization", "Bearer x"]), ErrorCode.MALFORMED_REQUEST],
    [
      "has a credential in Authorization and in a subprotocol",
      () => asJane(["Sec-WebSocket-Protocol", `${BEARER}YQ, v5.channel.k8s.io`]),
      ErrorCode.MALFORMED_REQUEST,
    ],
    ["asks to be somebody else", () => asJane(["Impersonate-User", "root"]), ErrorCode.ACCESS_DENIED],
    [
      "asks to be somebody else in small letters",
      () => asJane(["impersonate-group", "system:masters"]),
      ErrorCode.ACCESS_DENIED,
    ],
    ["asks for an impersonation of the future", () => asJane(["Impersonate-Tenant", "a"]), ErrorCode.ACCESS_DENIED],
    [
      "asks to be somebody else, and has Connection take it off",
      () => asJane(["Connection", "Impersonate-User"], ["Impersonate-User", "root"]),
      ErrorCode.ACCESS_DENIED,
    ],
    ["has an absolute target", () => ({ ...asJane(), target: "http://evil.example/" }), ErrorCode.MALFORMED_REQUEST],
    [
      "says two lengths of its body",
      () => asJane(["Content-Length", "11"], ["content-length", "11"]),
      ErrorCode.MALFORMED_REQUEST,
    ],
    ["is a CONNECT", () => ({ ...asJane(), method: "CONNECT" }), ErrorCode.MALFORMED_REQUEST],
  ];

  it.each(refused)("%s", async (_what, head, code) => {
    const fault = faultOf(await requester.exchange(head()));
    expect(fault).toMatchObject({ code, hop: Hop.IDENTITY_PROXY });
    expect(cluster.seen).toEqual([]);
  });

  it.each(["h2c", "H2C", "TLS/1.3, websocket", "web socket"])("asks for an upgrade to %s", async (upgrade) => {
    requester.begin({ ...asJane(), upgrade });
    const fault = faultOf(await requester.answer());
    expect(fault).toMatchObject({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.IDENTITY_PROXY });
    expect(cluster.seen).toEqual([]);
  });

  it("meets an issuer that is down", async () => {
    issuer.down = true;
    const fault = faultOf(await requester.exchange(asJane()));
    expect(fault).toMatchObject({ code: ErrorCode.ISSUER_UNAVAILABLE, hop: Hop.IDENTITY_PROXY });
    expect(cluster.seen).toEqual([]);
  });

  it("is told without a part of the token, and the log has none either", async () => {
    for (const [, head] of refused) {
      const { message } = faultOf(await requester.exchange(head()));
      expect(message).not.toContain(CANARY);
      for (const part of jane().split(".")) expect(message).not.toContain(part);
    }
    await requester.exchange(asJane());
    expect(logged.join()).toContain("jane");
    expect(logged.join()).not.toMatch(/eyJ|canary/);
  });

  it("leaves the lane free for the next", async () => {
    faultOf(await requester.exchange({}));
    expect((await requester.exchange(asJane())).status).toBe(200);
  });
});

describe("a 401 of the apiserver's", () => {
  it("is told as the proxy's fault and not the caller's, and the next request has the new credential", async () => {
    cluster.answer = (seen, response) => {
      const [credential] = valuesOf(seen, "authorization");
      response.writeHead(credential === "Bearer own-token" ? 401 : 200).end();
    };
    const fault = faultOf(await requester.exchange(asJane()));
    expect(fault).toMatchObject({ code: ErrorCode.OWN_CREDENTIAL_REFUSED, hop: Hop.IDENTITY_PROXY });
    await cluster.kubeconfig({ token: "rotated" });
    expect((await requester.exchange(asJane())).status).toBe(200);
    expect(valuesOf(cluster.seen.at(-1), "authorization")).toEqual(["Bearer rotated"]);
  });

  it.each([403, 404, 500])("is one: %i goes to the caller as it is", async (status) => {
    cluster.answer = (_seen, response) => response.writeHead(status).end("the cluster's own");
    expect(await requester.exchange(asJane())).toMatchObject({ status, body: "the cluster's own", error: undefined });
  });
});

it("an apiserver that is away is named", async () => {
  await cluster.kubeconfig({ token: "own-token" }, { server: "https://127.0.0.1:1" });
  apiserver.judge(401); // read it again
  const fault = faultOf(await requester.exchange(asJane()));
  expect(fault).toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.APISERVER });
});

describe("a request of a context with a scope", () => {
  const EXEC = "/api/v1/namespaces/ns/pods/p/exec?command=sh";
  const limit = (...names: string[]) => ({ $typeName: "fairlead.tunnel.v1alpha1.GroupLimit" as const, names });
  const scope = (changes: { readOnly?: boolean; groups?: ReturnType<typeof limit> }) => ({
    scope: { $typeName: "fairlead.tunnel.v1alpha1.Scope" as const, readOnly: false, ...changes },
  });
  const readOnly = scope({ readOnly: true });

  it("acts with the caller's groups that the scope names, and no others", async () => {
    await requester.exchange({ ...asJane(), ...scope({ groups: limit("ops", "root", "system:masters") }) });
    expect(valuesOf(cluster.seen[0], "impersonate-group")).toEqual(["ops"]);
    expect(valuesOf(cluster.seen[0], "impersonate-user")).toEqual(["jane"]);
  });

  it("acts without any group where the scope names none", async () => {
    await requester.exchange({ ...asJane(), ...scope({ groups: limit() }) });
    expect(valuesOf(cluster.seen[0], "impersonate-group")).toEqual([]);
  });

  it("takes nothing away from the next request with the same token", async () => {
    const caller = asJane();
    await requester.exchange({ ...caller, ...scope({ groups: limit() }) });
    await requester.exchange(caller);
    expect(valuesOf(cluster.seen[1], "impersonate-group")).toEqual(["dev", "ops"]);
  });

  it("reads, when it is read-only", async () => {
    expect(await requester.exchange({ ...asJane(), ...readOnly })).toMatchObject({ status: 200 });
    const target = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    expect(await requester.exchange({ ...asJane(), ...readOnly, method: "POST", target }, "{}")).toMatchObject({
      status: 200,
    });
  });

  it.each([
    ["a delete", "DELETE", "/api/v1/namespaces/ns/pods/p"],
    ["a patch", "PATCH", "/api/v1/namespaces/ns/pods/p"],
    ["an exec without an upgrade", "POST", EXEC],
    ["an exec in other letters", "GET", EXEC.replace("exec", "%65xec")],
    ["an exec behind an encoded slash", "GET", EXEC.replace("/exec", "%2fexec")],
    ["a proxied node", "GET", "/api/v1/nodes/n/proxy/exec/ns/p/c"],
  ])("reaches no apiserver with %s, when it is read-only, whatever the relay says", async (_what, method, target) => {
    const answer = await requester.exchange({ ...asJane(), ...readOnly, method, target });
    expect(faultOf(answer)).toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY });
    expect(cluster.seen).toEqual([]);
  });

  it.each([
    ["GET", "websocket"],
    ["POST", "SPDY/3.1"],
  ])("reaches no apiserver with an exec by %s over %s, when it is read-only", async (method, upgrade) => {
    requester.begin({ ...asJane(), ...readOnly, method, upgrade, target: EXEC });
    const fault = faultOf(await requester.answer());
    expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY });
    expect(fault.message).toBe(
      'this context is read-only, and "create pods/exec" is more than reading; choose a context that is not',
    );
    expect(cluster.seen).toEqual([]);
  });
});
