import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TokenVerifier } from "@fairlead/authentication";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, GrpcConnection, Hop, type RequestHead } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { ActingAs } from "../acting-as.ts";
import { Apiserver } from "../apiserver.ts";
import { ApiserverFixture, type KeyPair, valuesOf } from "../apiserver-fixture.ts";
import { Callers } from "../callers.ts";
import { CarryOn } from "../carry-on.ts";
import { type IdentityProxyOptions, identityProxy } from "../identity-proxy.ts";
import { IssuerFixture } from "../issuer-fixture.ts";
import { LaneServer } from "../lane-server.ts";
import { faultOf, headerLines, Requester } from "../requester-fixture.ts";
import { rightsTo } from "../rights-fixture.ts";
import { ListedServices } from "./listed-services.ts";
import { ServiceForwards } from "./service-forwards.ts";

const TARGET = "/apis/tunnel.fairlead.dev/v1alpha1/namespaces/shop/services/web:80/portforward";
const REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const CLUSTERS_ISSUER = "https://kubernetes.default.svc";
const web = {
  kind: "Service",
  metadata: { namespace: "shop", name: "web" },
  spec: { type: "ClusterIP", clusterIP: "10.96.0.7", selector: { app: "web" }, ports: [{ port: 80 }] },
};

let authority: CertificateAuthority;
let tls: KeyPair;
let issuer: IssuerFixture;
let cluster: ApiserverFixture;
let apiserver: Apiserver;
let folder: string;
let ends: (() => unknown)[];
let logged: { [field: string]: unknown; said: string }[];
/** The Service's end of connections; it answers with what it gets. */
let service: Server;
let reached: Socket[];
let dialled: string[];
/** Where dials lead; by itself to the Service. */
let dial: (host: string, port: number) => Socket;
/** What the apiserver says to reviews, and of the Service. */
let allowed: boolean;
let answer: [status: number, body: object];

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "server", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  issuer = await IssuerFixture.start(tls, authority.pem);
  cluster = await ApiserverFixture.start(tls, authority.pem);
  apiserver = new Apiserver({ kubeconfig: await cluster.kubeconfig({ token: "own-token" }), context: undefined });
  [allowed, answer] = [true, [200, web]];
  cluster.answer = ({ url }, response) => {
    if (url === REVIEWS) return void response.writeHead(201).end(JSON.stringify({ status: { allowed } }));
    response.writeHead(answer[0]).end(JSON.stringify(answer[1]));
  };
  [reached, dialled, logged, ends] = [[], [], [], []];
  service = createServer({ allowHalfOpen: true }, (socket) => {
    reached.push(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  const { port } = service.address() as AddressInfo;
  dial = () => connect({ host: "127.0.0.1", port, allowHalfOpen: true });
});

afterEach(async () => {
  for (const end of ends.reverse()) await end();
  const { pool, callersPool } = await apiserver.connection();
  pool.retire();
  callersPool.retire();
  for (const socket of reached) socket.destroy();
  service.close();
  await Promise.all([issuer.close(), cluster.close()]);
  await rm(folder, { recursive: true });
});

let forwards: ServiceForwards;

/** A lane to an identity proxy whose owner has listed shop/web:80. */
async function laneTo(options: Partial<IdentityProxyOptions> = {}, listed = ["shop/web:80"]): Promise<Requester> {
  const verifier = new TokenVerifier([issuer.configuration()], Hop.IDENTITY_PROXY);
  const log = { info: (line: object, said: string) => void logged.push({ ...line, said }) } as unknown as Logger;
  const callers = new Callers(verifier);
  const carryOn = new CarryOn(callers, log);
  forwards = new ServiceForwards(new ListedServices(listed), apiserver, (host, port) => {
    dialled.push(`${host} ${port}`);
    return dial(host, port);
  });
  const own = { cluster: "prod", callers, apiserver, rights: rightsTo("*"), log, carryOn, forwards };
  const server = new LaneServer(
    { kind: "unix", path: join(folder, "identity.sock") },
    { prepareFor: identityProxy({ ...own, ...options }) },
  );
  const path = (await server.start()).slice("unix:".length);
  const client = new GrpcConnection(() => ({ path }));
  ends.push(
    () => server.stop(0),
    () => client.close(),
  );
  const requester = new Requester(client);
  await requester.opened;
  return requester;
}

/** Jane's request for the Service, with changes. */
const request = (changes: Partial<RequestHead> = {}, ...lines: [string, string][]): Partial<RequestHead> => ({
  ...{ method: "POST", target: TARGET, upgrade: "tcp.fairlead.dev" },
  headers: headerLines(["Authorization", `Bearer ${issuer.token({ groups: ["dev", "ops"] })}`], ...lines),
  ...changes,
});
/** The same, that only asks. */
const question = (changes: Partial<RequestHead> = {}, ...lines: [string, string][]) =>
  request({ upgrade: "", ...changes }, ...lines);
const asked = () => cluster.seen.map(({ method, url }) => `${method} ${url}`);

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe("a Service that the owner has listed", () => {
  it("is connected to at the address that the cluster gave it, and bytes go both ways", async () => {
    const lane = await laneTo();
    lane.begin(request());
    expect(await lane.headed).toBe(101);
    lane.end("ahoy");
    expect(await lane.answer()).toMatchObject({ status: 101, body: "ahoy", error: undefined });
    expect(dialled).toEqual(["10.96.0.7 80"]);
  });

  it("is asked for as the caller: the right first, then the Service, both by impersonation alone", async () => {
    const lane = await laneTo();
    await lane.exchange(question());
    expect(asked()).toEqual([`POST ${REVIEWS}`, "GET /api/v1/namespaces/shop/services/web"]);
    for (const seen of cluster.seen) {
      expect(valuesOf(seen, "authorization")).toEqual(["Bearer own-token"]);
      expect(valuesOf(seen, "impersonate-user")).toEqual(["jane"]);
      expect(valuesOf(seen, "impersonate-group")).toEqual(["dev", "ops"]);
      expect(valuesOf(seen, "impersonate-extra-fairlead.dev%2fcluster")).toEqual(["prod"]);
    }
    expect(JSON.parse(cluster.seen[0]?.body ?? "").spec.resourceAttributes).toEqual({
      ...{ verb: "create", resource: "services", subresource: "proxy" },
      ...{ namespace: "shop", name: "web:80" },
    });
  });

  it("is in the cluster's audit log under the exchange's id", async () => {
    const lane = await laneTo();
    await lane.exchange(question());
    expect(valuesOf(cluster.seen[1], "audit-id")).toEqual([logged[0]?.auditID]);
  });

  it("is dialled by no request that only asks whether it would be", async () => {
    const lane = await laneTo();
    expect(await lane.exchange(question())).toMatchObject({ status: 204, error: undefined });
    expect([dialled, forwards.sockets]).toEqual([[], 0]);
  });

  it("is asked about anew for each connection, so that a right that is lost counts at once", async () => {
    const lane = await laneTo();
    expect(await lane.exchange(question())).toMatchObject({ status: 204 });
    allowed = false;
    expect(faultOf(await lane.exchange(question())).code).toBe(ErrorCode.ACCESS_DENIED);
  });

  it("is connected to as another, where callers may act as others", async () => {
    const lane = await laneTo({ actingAs: new ActingAs(apiserver, rightsTo("*")) });
    expect(await lane.exchange(question({}, ["Impersonate-User", "joe"]))).toMatchObject({ status: 204 });
    expect(valuesOf(cluster.seen.at(-1), "impersonate-user")).toEqual(["joe"]);
    expect(logged).toMatchObject([{ user: "joe", originalUser: "jane" }]);
  });
});

describe("the record of a connection", () => {
  it("says at its beginning who connects to what, and at its end how much passed", async () => {
    const lane = await laneTo();
    lane.begin(request());
    await lane.headed;
    lane.end("ahoy!");
    await lane.answer();
    await until(() => logged.length === 2);
    const line = { user: "jane", groups: 2, cluster: "prod", method: "POST", path: TARGET, ms: expect.any(Number) };
    expect(logged).toEqual([
      expect.objectContaining({ ...line, status: 101, said: "request" }),
      expect.objectContaining({ ...line, sentBytes: 5, receivedBytes: 5, end: "complete", said: "connection ended" }),
    ]);
    expect(logged[0]?.auditID).toBe(logged[1]?.auditID);
    expect(forwards.sockets).toBe(0);
  });

  it("says that it was cut", async () => {
    const lane = await laneTo();
    lane.begin(request());
    await lane.headed;
    await until(() => reached.length === 1);
    reached[0]?.resetAndDestroy();
    expect(faultOf(await lane.answer())).toMatchObject({
      ...{ code: ErrorCode.CONNECTION_LOST, hop: Hop.SERVICE },
      message: "the connection to the Service shop/web:80 was lost (ECONNRESET)",
    });
    await until(() => logged.length === 2);
    expect(logged[1]).toMatchObject({ end: "cut", said: "connection ended" });
  });

  it("of one that was not made says why", async () => {
    const unused = createServer();
    await new Promise<void>((resolve) => unused.listen(0, "127.0.0.1", resolve));
    const { port } = unused.address() as AddressInfo;
    await new Promise((resolve) => unused.close(resolve));
    dial = () => connect({ host: "127.0.0.1", port });
    const lane = await laneTo();
    lane.begin(request());
    const fault = faultOf(await lane.answer());
    expect(fault).toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.SERVICE });
    expect(fault.message).toMatch(/^the Service shop\/web:80 takes no connection \(ECONNREFUSED\); look at/);
    expect(logged).toMatchObject([{ refused: "UNREACHABLE", said: "request refused" }]);
  });
});

describe("nothing is reached", () => {
  afterEach(() => expect([dialled, reached]).toEqual([[], []]));

  const refused = async (lane: Requester, head: Partial<RequestHead>) => {
    lane.begin(head);
    return faultOf(await lane.answer());
  };

  it.each([
    ["another port", TARGET.replace(":80", ":81")],
    ["another Service", TARGET.replace("web:", "db:")],
    ["another namespace", TARGET.replace("/shop/", "/kube-system/")],
  ])("where the owner has not listed it: %s; and nothing is asked", async (_what, target) => {
    const fault = await refused(await laneTo(), request({ target }));
    expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY });
    expect(fault.message).toMatch(/^the cluster's owner has not listed the Service [a-z-]+\/(web|db):\d+; ask them/);
    expect(asked()).toEqual([]);
    expect(logged).toMatchObject([{ refused: "ACCESS_DENIED", said: "request refused" }]);
  });

  it("where the owner has listed none, which is the default", async () => {
    const fault = await refused(await laneTo({}, []), request());
    expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, message: expect.stringMatching(/has not listed/) });
    expect(asked()).toEqual([]);
  });

  it("without the right, and the Service is not looked at", async () => {
    allowed = false;
    const fault = await refused(await laneTo(), request());
    expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY });
    expect(fault.message).toMatch(/^jane may not "create services\/proxy" named "web:80" in the namespace shop,/);
    expect(asked()).toEqual([`POST ${REVIEWS}`]);
  });

  it.each<[what: string, answer: [number, object], code: ErrorCode, says: RegExp]>([
    ["the caller may not get the Service", [403, {}], ErrorCode.ACCESS_DENIED, /^jane may not "get services"/],
    [
      "the cap does not let it be got",
      [403, { message: "cannot impersonate-on:user-info:get" }],
      ErrorCode.ACCESS_DENIED,
      /^jane may not "get services" named "web" .*; the apiserver says: cannot impersonate-on:user-info:get$/,
    ],
    ["there is no such Service", [404, {}], ErrorCode.UNREACHABLE, /^there is no Service shop\/web:80/],
    ["the apiserver fails", [500, {}], ErrorCode.UNREACHABLE, /^the apiserver answers 500/],
    ["our own credential is refused", [401, {}], ErrorCode.OWN_CREDENTIAL_REFUSED, /own credential/],
    [
      "it is an ExternalName",
      [200, { ...web, spec: { type: "ExternalName" } }],
      ErrorCode.ACCESS_DENIED,
      /ExternalName/,
    ],
    [
      "its address is the metadata's",
      [200, { ...web, spec: { ...web.spec, clusterIP: "169.254.169.254" } }],
      ErrorCode.ACCESS_DENIED,
      /has the address 169\.254\.169\.254/,
    ],
  ])("where %s", async (_what, given, code, says) => {
    answer = given;
    expect(await refused(await laneTo(), request())).toMatchObject({ code, message: expect.stringMatching(says) });
  });

  it.each([201, 403, 500])("where the apiserver answers a review with %i and no yes", async (status) => {
    cluster.answer = (_seen, response) => response.writeHead(status).end("{}");
    expect((await refused(await laneTo(), request())).code).toBe(ErrorCode.ACCESS_DENIED);
  });

  it.each([
    ["no token", { headers: [] }],
    ["a token that is none", { headers: headerLines(["Authorization", "Bearer x.y.z"]) }],
  ])("with %s", async (_what, changes) => {
    expect((await refused(await laneTo(), request(changes))).code).toBe(ErrorCode.TOKEN_REFUSED);
    expect(asked()).toEqual([]);
  });

  it("from a read-only context, whatever the method", async () => {
    const scope = { $typeName: "fairlead.tunnel.v1alpha1.Scope" as const, readOnly: true };
    const lane = await laneTo();
    for (const method of ["POST", "GET"]) {
      const fault = faultOf(await lane.exchange(question({ scope, method })));
      expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, message: expect.stringMatching(/is read-only/) });
    }
    expect(asked()).toEqual([]);
  });

  it("with rights of groups that the context takes away: they are not asked with", async () => {
    const groups = { $typeName: "fairlead.tunnel.v1alpha1.GroupLimit" as const, names: ["dev"] };
    const scope = { $typeName: "fairlead.tunnel.v1alpha1.Scope" as const, readOnly: false, groups };
    await (await laneTo()).exchange(question({ scope }));
    for (const seen of cluster.seen) expect(valuesOf(seen, "impersonate-group")).toEqual(["dev"]);
  });

  it("as another, where callers may not act as others", async () => {
    const fault = await refused(await laneTo(), request({}, ["Impersonate-User", "joe"]));
    expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, message: expect.stringMatching(/--as/) });
    expect(asked()).toEqual([]);
  });

  it("by a service account's own token, which nobody here can verify", async () => {
    const lane = await laneTo({ serviceAccountIssuer: CLUSTERS_ISSUER });
    const token = issuer.token({ iss: CLUSTERS_ISSUER, sub: "system:serviceaccount:ci:builder" });
    const headers = headerLines(["Authorization", `Bearer ${token}`]);
    const fault = await refused(lane, request({ headers }));
    expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, message: expect.stringMatching(/service accounts/) });
    expect(asked()).toEqual([]);
  });

  it.each<[what: string, changes: Partial<RequestHead>]>([
    ["another method", { method: "GET" }],
    ["another upgrade", { upgrade: "websocket" }],
    ["a query", { target: `${TARGET}?port=22` }],
    ["a host name", { target: TARGET.replace("web:", "web.example.com:") }],
    ["an address", { target: TARGET.replace("web:", "169.254.169.254:") }],
    ["an encoded name", { target: TARGET.replace("web:", "%77eb:") }],
    ["a name to be decoded to a path", { target: TARGET.replace("web:", "..%2f..%2fweb:") }],
    ["dots", { target: TARGET.replace("shop/", "shop/../shop/") }],
    ["another path below the prefix", { target: "/apis/tunnel.fairlead.dev/v1alpha1" }],
    ["the prefix alone", { target: "/apis/tunnel.fairlead.dev" }],
  ])("and nothing is asked by a request with %s: it does not go on to the apiserver", async (_what, changes) => {
    const fault = await refused(await laneTo(), request(changes));
    expect(fault).toMatchObject({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.IDENTITY_PROXY });
    expect(asked()).toEqual([]);
  });

  it("by a request for another cluster", async () => {
    expect((await refused(await laneTo(), request({ cluster: "staging" }))).code).toBe(ErrorCode.ACCESS_DENIED);
    expect(asked()).toEqual([]);
  });
});
