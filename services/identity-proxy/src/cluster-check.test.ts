import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { Apiserver } from "./apiserver.ts";
import { ApiserverFixture, type KeyPair } from "./apiserver-fixture.ts";
import { ClusterCheck } from "./cluster-check.ts";

let authority: CertificateAuthority;
let tls: KeyPair;
let cluster: ApiserverFixture;
let apiserver: Apiserver;
/** What the apiserver answers, by path. */
let answers: Record<string, [status: number, body: object]>;

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "kube-apiserver", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  cluster = await ApiserverFixture.start(tls, authority.pem);
  apiserver = new Apiserver({ kubeconfig: await cluster.kubeconfig({ token: "own-token" }), context: undefined });
  answers = {
    "/readyz": [200, {}],
    "/version": [200, { gitVersion: "v1.36.3" }],
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": [201, rights("impersonate")],
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": [201, {}],
  };
  cluster.answer = ({ url }, response) => {
    const [status, body] = answers[url] ?? [404, {}];
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  };
});

afterEach(async () => {
  (await apiserver.connection()).pool.retire();
  await cluster.close();
});

function rights(verb: string): object {
  const resourceRules = [{ verbs: [verb], apiGroups: [""], resources: ["users", "groups"] }];
  return { status: { resourceRules, nonResourceRules: [] } };
}

const check = () => new ClusterCheck(apiserver).check();

describe("a check of the cluster", () => {
  it("finds nothing where the apiserver is ready and lets the account impersonate, and says what the cluster is", async () => {
    expect(await check()).toMatchObject({ report: { kubernetesVersion: "v1.36.3", capped: false } });
    expect((await check()).problem).toBeUndefined();
  });

  it("says whether the apiserver caps what callers may do", async () => {
    answers["/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"] = [201, rights("impersonate:user-info")];
    expect((await check()).report?.capped).toBe(true);
  });

  it("finds an apiserver that is not ready", async () => {
    answers["/readyz"] = [500, {}];
    expect((await check()).problem).toMatchObject({
      ...{ code: ErrorCode.UNREACHABLE, hop: Hop.APISERVER },
      message: expect.stringMatching(/is up and not ready \(its \/readyz answers 500\)/),
    });
  });

  it("finds an apiserver that is away", async () => {
    cluster.answer = (_seen, response) => response.destroy();
    expect((await check()).problem).toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.APISERVER });
  });

  it("finds a credential that the apiserver refuses", async () => {
    answers["/readyz"] = [401, {}];
    expect((await check()).problem).toMatchObject({ code: ErrorCode.OWN_CREDENTIAL_REFUSED, hop: Hop.IDENTITY_PROXY });
  });

  it("finds rights that were taken away", async () => {
    answers["/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"] = [
      201,
      { status: { resourceRules: [], nonResourceRules: [] } },
    ];
    expect((await check()).problem).toMatchObject({
      ...{ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY },
      message: expect.stringMatching(/cannot impersonate.*`fairlead rbac`/),
    });
  });

  it("finds an apiserver that refuses to impersonate", async () => {
    answers["/apis/authentication.k8s.io/v1/selfsubjectreviews"] = [403, { message: "cannot impersonate users" }];
    expect((await check()).problem?.message).toMatch(/cannot impersonate users/);
  });

  it("asks the apiserver once for many who ask at once", async () => {
    const shared = new ClusterCheck(apiserver);
    await Promise.all(Array.from({ length: 10 }, () => shared.check()));
    expect(cluster.seen.filter(({ url }) => url === "/readyz")).toHaveLength(1);
  });

  it("passes no more on of a version than a version's length", async () => {
    answers["/version"] = [200, { gitVersion: "v".repeat(10_000) }];
    expect((await check()).report?.kubernetesVersion).toHaveLength(64);
  });
});
