import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TokenVerifier } from "@fairlead/authentication";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, GrpcConnection, Hop } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { ActingAs } from "./acting-as.ts";
import { Apiserver } from "./apiserver.ts";
import { ApiserverFixture, type KeyPair, type SeenRequest, valuesOf } from "./apiserver-fixture.ts";
import { Callers } from "./callers.ts";
import { CarryOn } from "./carry-on.ts";
import { ListedServices } from "./forward/listed-services.ts";
import { ServiceForwards } from "./forward/service-forwards.ts";
import { type IdentityProxyOptions, identityProxy } from "./identity-proxy.ts";
import { IssuerFixture } from "./issuer-fixture.ts";
import { LaneServer } from "./lane-server.ts";
import { faultOf, headerLines, Requester } from "./requester-fixture.ts";
import { rightsTo } from "./rights-fixture.ts";

const CLUSTERS_ISSUER = "https://kubernetes.default.svc";
const REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

let authority: CertificateAuthority;
let tls: KeyPair;
let issuer: IssuerFixture;
let cluster: ApiserverFixture;
let apiserver: Apiserver;
let folder: string;
let ends: (() => Promise<void>)[];
let logged: object[];

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "server", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  issuer = await IssuerFixture.start(tls, authority.pem);
  cluster = await ApiserverFixture.start(tls, authority.pem);
  const certificate = await authority.issue({ commonName: "the identity proxy", days: 1 });
  const base64 = (pem: string) => Buffer.from(pem).toString("base64");
  const own = { "client-certificate-data": base64(certificate.cert), "client-key-data": base64(certificate.key) };
  apiserver = new Apiserver({ kubeconfig: await cluster.kubeconfig(own), context: undefined });
  logged = [];
  ends = [];
});

afterEach(async () => {
  for (const end of ends.reverse()) await end();
  const { pool, callersPool } = await apiserver.connection();
  pool.retire();
  callersPool.retire();
  await Promise.all([issuer.close(), cluster.close()]);
  await rm(folder, { recursive: true });
});

/** A lane to an identity proxy of its own. */
async function laneTo(options: Partial<IdentityProxyOptions>): Promise<Requester> {
  const verifier = new TokenVerifier([issuer.configuration()], Hop.IDENTITY_PROXY);
  const log = { info: (line: object) => void logged.push(line) } as unknown as Logger;
  const rights = rightsTo("*");
  const callers = new Callers(verifier);
  const carryOn = new CarryOn(callers, log);
  const forwards = new ServiceForwards(new ListedServices(), apiserver);
  const prepareFor = identityProxy({ cluster: "prod", callers, apiserver, rights, log, carryOn, forwards, ...options });
  const server = new LaneServer({ kind: "unix", path: join(folder, "s", "identity.sock") }, { prepareFor });
  const path = (await server.start()).slice("unix:".length);
  const client = new GrpcConnection(() => ({ path }));
  ends.push(
    () => server.stop(0),
    async () => client.close(),
  );
  const requester = new Requester(client);
  await requester.opened;
  return requester;
}

const bearer = (token: string, ...lines: [string, string][]) => ({
  headers: headerLines(["Authorization", `Bearer ${token}`], ...lines),
});
const asJane = (...lines: [string, string][]) => bearer(issuer.token({ groups: ["dev", "ops"] }), ...lines);
const limit = (...names: string[]) => ({ $typeName: "fairlead.tunnel.v1alpha1.GroupLimit" as const, names });
const scope = (changes: { readOnly?: boolean; groups?: ReturnType<typeof limit> }) => ({
  scope: { $typeName: "fairlead.tunnel.v1alpha1.Scope" as const, readOnly: false, ...changes },
});

/** The requests that are no reviews. */
const carried = () => cluster.seen.filter(({ url }) => url !== REVIEWS);

describe("where callers may act as others", () => {
  const actingAs = () => laneTo({ actingAs: new ActingAs(apiserver, rightsTo("*")) });
  /** The caller may impersonate these, as `resource name`. */
  const allow = (...allowed: string[]) => {
    cluster.answer = ({ url, body }, response) => {
      if (url !== REVIEWS) return void response.end("{}");
      const { resource, name } = JSON.parse(body).spec.resourceAttributes;
      response.writeHead(201).end(JSON.stringify({ status: { allowed: allowed.includes(`${resource} ${name}`) } }));
    };
  };

  it("a request is carried out as the other alone, and says in an extra who asked", async () => {
    allow("users joe", "groups qa");
    const lane = await actingAs();
    await lane.exchange(asJane(["Impersonate-User", "joe"], ["Impersonate-Group", "qa"]));
    const [seen] = carried();
    expect(valuesOf(seen, "impersonate-user")).toEqual(["joe"]);
    expect(valuesOf(seen, "impersonate-group")).toEqual(["qa"]);
    expect(valuesOf(seen, "impersonate-extra-fairlead.dev%2foriginal-user")).toEqual(["jane"]);
    expect(logged).toEqual([expect.objectContaining({ user: "joe", originalUser: "jane", status: 200 })]);
  });

  it("a request without --as is the caller's own, and nothing is asked", async () => {
    const lane = await actingAs();
    await lane.exchange(asJane());
    expect(valuesOf(carried()[0], "impersonate-user")).toEqual(["jane"]);
    expect(valuesOf(carried()[0], "impersonate-extra-fairlead.dev%2foriginal-user")).toEqual([]);
    expect(cluster.seen).toHaveLength(1);
  });

  it("one that may not is refused, and its request does not reach the apiserver", async () => {
    allow("users joe");
    const lane = await actingAs();
    const fault = faultOf(await lane.exchange(asJane(["Impersonate-User", "joe"], ["Impersonate-Group", "qa"])));
    expect(fault).toMatchObject({ code: ErrorCode.ACCESS_DENIED, message: expect.stringMatching(/groups "qa"/) });
    expect(carried()).toEqual([]);
    expect(logged).toEqual([expect.objectContaining({ refused: "ACCESS_DENIED" })]);
  });

  it("one that is not clear is refused before anything is asked", async () => {
    allow("users joe");
    const lane = await actingAs();
    const fault = faultOf(await lane.exchange(asJane(["Impersonate-Group", "qa"])));
    expect(fault.code).toBe(ErrorCode.MALFORMED_REQUEST);
    expect(cluster.seen).toEqual([]);
  });

  it("a context's scope counts for the one who asks: rights of groups that it takes away are not asked with", async () => {
    allow("users joe");
    const lane = await actingAs();
    await lane.exchange({ ...asJane(["Impersonate-User", "joe"]), ...scope({ groups: limit("dev") }) });
    const review = cluster.seen.find(({ url }) => url === REVIEWS);
    expect(valuesOf(review, "impersonate-group")).toEqual(["dev"]);
  });

  it("a context that is read-only is so for the other too", async () => {
    allow("users joe");
    const lane = await actingAs();
    const asks = { ...asJane(["Impersonate-User", "joe"]), ...scope({ readOnly: true }), method: "DELETE" };
    expect(faultOf(await lane.exchange(asks)).code).toBe(ErrorCode.ACCESS_DENIED);
    expect(cluster.seen).toEqual([]);
  });
});

describe("where tokens of the cluster's own service accounts are passed on", () => {
  const passing = () => laneTo({ serviceAccountIssuer: CLUSTERS_ISSUER });
  const accountsToken = (claims: object = {}) =>
    issuer.token({ iss: CLUSTERS_ISSUER, sub: "system:serviceaccount:ci:builder", ...claims });
  const shown = (seen: SeenRequest | undefined) => valuesOf(seen, "authorization");

  it("one goes on as it is, impersonates nobody, and shows no certificate of ours", async () => {
    const lane = await passing();
    const token = accountsToken();
    await lane.exchange(bearer(token, ["X-Remote-User", "root"]));
    const [seen] = cluster.seen;
    expect(shown(seen)).toEqual([`Bearer ${token}`]);
    expect(seen?.certificate).toBeUndefined();
    expect(seen?.headers.filter(([name]) => /^(impersonate-|x-remote-)/i.test(name))).toEqual([]);
    expect(logged).toEqual([expect.objectContaining({ user: "system:serviceaccount:ci:builder", status: 200 })]);
  });

  it("a person's request beside it is impersonated as ever, on a connection with our certificate", async () => {
    const lane = await passing();
    await lane.exchange(bearer(accountsToken()));
    await lane.exchange(asJane());
    await lane.exchange(bearer(accountsToken()));
    expect(cluster.seen.map(({ certificate }) => certificate)).toEqual([undefined, "the identity proxy", undefined]);
    expect(valuesOf(cluster.seen[1], "impersonate-user")).toEqual(["jane"]);
    expect(shown(cluster.seen[1])).toEqual([]);
  });

  it("a 401 is the apiserver's answer about the caller's token, and not a fault of ours", async () => {
    cluster.answer = (_seen, response) => response.writeHead(401).end("Unauthorized");
    const lane = await passing();
    expect(await lane.exchange(bearer(accountsToken()))).toMatchObject({ status: 401, body: "Unauthorized" });
  });

  it("the caller's bearer subprotocol is one too", async () => {
    const lane = await passing();
    const token = accountsToken();
    const subprotocol = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString("base64url")}`;
    await lane.exchange({ headers: headerLines(["Sec-WebSocket-Protocol", `${subprotocol}, v5.channel.k8s.io`]) });
    expect(shown(cluster.seen[0])).toEqual([`Bearer ${token}`]);
    expect(valuesOf(cluster.seen[0], "sec-websocket-protocol")).toEqual(["v5.channel.k8s.io"]);
  });

  it.each<[what: string, head: () => object]>([
    ["asks to be somebody else", () => bearer(accountsToken(), ["Impersonate-User", "root"])],
    [
      "comes by a context that takes groups away",
      () => ({ ...bearer(accountsToken()), ...scope({ groups: limit() }) }),
    ],
    [
      "writes by a context that is read-only",
      () => ({ ...bearer(accountsToken()), ...scope({ readOnly: true }), method: "DELETE" }),
    ],
  ])("one that %s is refused", async (_what, head) => {
    const lane = await passing();
    expect(faultOf(await lane.exchange(head())).code).toBe(ErrorCode.ACCESS_DENIED);
    expect(cluster.seen).toEqual([]);
  });

  it.each<[what: string, token: () => string]>([
    ["of another issuer", () => issuer.token({ iss: `${CLUSTERS_ISSUER}.evil.example` })],
    ["of two issuers", () => issuer.token({ iss: [CLUSTERS_ISSUER] })],
    ["that is none", () => "not.a.token"],
    ["without an issuer", () => issuer.token({ iss: undefined })],
  ])("one %s is not passed on", async (_what, token) => {
    const lane = await passing();
    expect(faultOf(await lane.exchange(bearer(token()))).code).toBe(ErrorCode.TOKEN_REFUSED);
    expect(cluster.seen).toEqual([]);
  });

  it("one that has expired ends at once", async () => {
    const lane = await passing();
    cluster.answer = () => {}; // a watch
    lane.begin(bearer(accountsToken({ exp: Math.floor(Date.now() / 1000) - 5 })));
    lane.end();
    expect(faultOf(await lane.answer()).code).toBe(ErrorCode.TOKEN_REFUSED);
  });
});

it("tokens of the cluster's own service accounts are refused where nothing is said of them", async () => {
  const lane = await laneTo({});
  const token = issuer.token({ iss: CLUSTERS_ISSUER });
  expect(faultOf(await lane.exchange(bearer(token))).code).toBe(ErrorCode.TOKEN_REFUSED);
  expect(cluster.seen).toEqual([]);
});

describe("the way of a request", () => {
  it("is in extras, each once", async () => {
    const lane = await laneTo({});
    await lane.exchange({ ...asJane(), client: "fairlead/0.1.0" });
    const [seen] = cluster.seen;
    expect(valuesOf(seen, "impersonate-extra-fairlead.dev%2fcluster")).toEqual(["prod"]);
    expect(valuesOf(seen, "impersonate-extra-fairlead.dev%2fclient")).toEqual(["fairlead/0.1.0"]);
  });

  it("is left out where the account has no right to say it", async () => {
    const lane = await laneTo({ rights: rightsTo("userextras/fairlead.dev/client") });
    await lane.exchange({ ...asJane(), client: "fairlead/0.1.0" });
    const extras = cluster.seen[0]?.headers.filter(([name]) => /^impersonate-extra-/i.test(name));
    expect(extras).toEqual([["Impersonate-Extra-fairlead.dev%2fclient", "fairlead/0.1.0"]]);
  });
});
