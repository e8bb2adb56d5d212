import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { Apiserver } from "./apiserver.ts";
import { ApiserverFixture, type KeyPair, valuesOf } from "./apiserver-fixture.ts";
import { checkLeastPrivilege } from "./least-privilege.ts";

const IMPERSONATE = { verbs: ["impersonate"], apiGroups: [""], resources: ["users", "groups"] };
/** What Kubernetes 1.36 lists for every service account. */
const EVERYBODYS = [
  { verbs: ["create"], apiGroups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"] },
  {
    verbs: ["create"],
    apiGroups: ["authorization.k8s.io"],
    resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
  },
];
const DISCOVERY = [
  {
    verbs: ["get"],
    nonResourceURLs: ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*"],
  },
  { verbs: ["get"], nonResourceURLs: ["/readyz", "/version", "/version/"] },
  { verbs: ["get"], nonResourceURLs: ["/.well-known/openid-configuration", "/openid/v1/jwks", "/openid/v1/jwks/"] },
];

let authority: CertificateAuthority;
let tls: KeyPair;
let fixture: ApiserverFixture;
let apiserver: Apiserver;

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "kube-apiserver", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  fixture = await ApiserverFixture.start(tls, authority.pem);
  apiserver = new Apiserver({ kubeconfig: await fixture.kubeconfig({ token: "own-token-1f2e" }), context: undefined });
});

afterEach(async () => {
  (await apiserver.connection()).pool.retire();
  await fixture.close();
});

/** The apiserver answers the review with these rules. */
function grant(resourceRules: object[], nonResourceRules: object[] = DISCOVERY): void {
  answer(201, JSON.stringify({ kind: "SelfSubjectRulesReview", status: { resourceRules, nonResourceRules } }));
}

function answer(status: number, body: string): void {
  fixture.answer = (_seen, response) => response.writeHead(status, { "Content-Type": "application/json" }).end(body);
}

const check = () => checkLeastPrivilege(apiserver);

describe("the identity proxy's account is accepted", () => {
  it.each<[what: string, rules: object[]]>([
    ["with impersonation and what everybody has", [IMPERSONATE, ...EVERYBODYS]],
    ["with impersonation alone", [IMPERSONATE]],
    ["with impersonation by name", [{ ...IMPERSONATE, resourceNames: ["jane"] }]],
    ["with impersonation of uids and extras", [{ verbs: ["impersonate"], resources: ["uids", "userextras/scopes"] }]],
    [
      "with constrained impersonation (KEP-5284)",
      [
        { verbs: ["impersonate:user-info"], apiGroups: ["authentication.k8s.io"], resources: ["users"] },
        {
          verbs: ["impersonate-on:user-info:list", "impersonate-on:user-info:get"],
          apiGroups: [""],
          resources: ["pods"],
        },
      ],
    ],
  ])("%s", async (_what, rules) => {
    grant(rules);
    await expect(check()).resolves.toBeUndefined();
  });

  it("and is asked about as itself, once in each namespace", async () => {
    grant([IMPERSONATE]);
    await check();
    const asked = fixture.seen.map(({ body }) => JSON.parse(body).spec.namespace);
    expect(asked).toEqual(["default", "kube-system"]);
    const [seen] = fixture.seen;
    expect(seen).toMatchObject({ method: "POST", url: "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews" });
    expect(valuesOf(seen, "authorization")).toEqual(["Bearer own-token-1f2e"]);
    expect(seen?.headers.filter(([name]) => /^impersonate-/i.test(name))).toEqual([]);
    expect(JSON.parse(seen?.body ?? "")).toMatchObject({ kind: "SelfSubjectRulesReview" });
  });
});

describe("the identity proxy's account is refused, and the right that is too much is named", () => {
  it.each<[what: string, rule: object, named: string]>([
    ["everything", { verbs: ["*"], apiGroups: ["*"], resources: ["*"] }, "may \\* \\*"],
    ["reading secrets", { verbs: ["get", "list"], apiGroups: [""], resources: ["secrets"] }, "may get,list secrets"],
    [
      "reading one config map",
      { verbs: ["get"], resources: ["configmaps"], resourceNames: ["a"] },
      "may get configmaps",
    ],
    ["exec", { verbs: ["create"], apiGroups: [""], resources: ["pods/exec"] }, "may create pods/exec"],
    ["making tokens", { verbs: ["create"], resources: ["serviceaccounts/token"] }, "may create serviceaccounts/token"],
    [
      "reviewing the rights of others",
      { verbs: ["create"], resources: ["subjectaccessreviews"] },
      "subjectaccessreviews",
    ],
    ["impersonating and more in one rule", { verbs: ["impersonate", "get"], resources: ["users"] }, "impersonate,get"],
    [
      "more on reviews than making them",
      { verbs: ["create", "delete"], resources: ["selfsubjectreviews"] },
      "create,delete",
    ],
    ["a verb that only begins so", { verbs: ["impersonated"], resources: ["users"] }, "may impersonated users"],
    ["escalating", { verbs: ["escalate", "bind"], resources: ["clusterroles"] }, "may escalate,bind clusterroles"],
    ["anything on reviews", { verbs: ["*"], resources: ["selfsubjectreviews"] }, "may \\* selfsubjectreviews"],
  ])("%s", async (_what, rule, named) => {
    grant([IMPERSONATE, ...EVERYBODYS, rule]);
    await expect(check()).rejects.toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      hop: Hop.IDENTITY_PROXY,
      message: expect.stringMatching(new RegExp(`${named}.*must have no right but to impersonate`)),
    });
  });

  it.each(["default", "kube-system"])("in the namespace %s alone", async (namespace) => {
    const secrets = { verbs: ["get"], apiGroups: [""], resources: ["secrets"] };
    fixture.answer = ({ body }, response) => {
      const here = JSON.parse(body).spec.namespace === namespace;
      const status = { resourceRules: here ? [IMPERSONATE, secrets] : [IMPERSONATE], nonResourceRules: DISCOVERY };
      response.writeHead(201).end(JSON.stringify({ status }));
    };
    await expect(check()).rejects.toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      message: expect.stringMatching(/may get secrets/),
    });
  });

  it.each<[what: string, rule: object, named: string]>([
    ["all paths", { verbs: ["*"], nonResourceURLs: ["*"] }, "may \\* \\*"],
    ["reading all paths", { verbs: ["get"], nonResourceURLs: ["*"] }, "may get \\*"],
    ["metrics", { verbs: ["get"], nonResourceURLs: ["/metrics"] }, "may get /metrics"],
    ["logs", { verbs: ["get"], nonResourceURLs: ["/logs/*"] }, "may get /logs/\\*"],
    ["profiles beside discovery", { verbs: ["get"], nonResourceURLs: ["/api", "/debug/*"] }, "may get /api,/debug/\\*"],
    ["writing where all may read", { verbs: ["get", "post"], nonResourceURLs: ["/version"] }, "may get,post /version"],
  ])("the path rule: %s", async (_what, rule, named) => {
    grant([IMPERSONATE, ...EVERYBODYS], [...DISCOVERY, rule]);
    await expect(check()).rejects.toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      message: expect.stringMatching(new RegExp(named)),
    });
  });
});

describe("the identity proxy does not start when its rights cannot be told", () => {
  it.each([401, 403, 404, 200, 301, 429, 500, 503])("because the apiserver answers %i", async (status) => {
    answer(status, JSON.stringify({ status: { resourceRules: [], nonResourceRules: [] } }));
    await expect(check()).rejects.toMatchObject({
      code: ErrorCode.OWN_CREDENTIAL_REFUSED,
      hop: Hop.IDENTITY_PROXY,
      message: expect.stringMatching(new RegExp(`answers ${status} .*check its credential`)),
    });
  });

  it.each([
    ["nothing", ""],
    ["no JSON", "<html>"],
    ["null", "null"],
    ["a review without status", JSON.stringify({ kind: "SelfSubjectRulesReview" })],
    ["a status without rules", JSON.stringify({ status: {} })],
    ["rules that are no list", JSON.stringify({ status: { resourceRules: {}, nonResourceRules: [] } })],
    ["no rules on paths", JSON.stringify({ status: { resourceRules: [] } })],
  ])("because it answers %s", async (_what, body) => {
    answer(201, body);
    await expect(check()).rejects.toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.APISERVER });
  });

  it("because it cuts its answer", async () => {
    fixture.answer = (_seen, response) =>
      response.writeHead(201, { "Content-Length": "100" }).write("{", () => response.destroy());
    await expect(check()).rejects.toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.APISERVER });
  });

  it("because it cuts the connection", async () => {
    fixture.answer = (_seen, response) => response.destroy();
    await expect(check()).rejects.toMatchObject({
      code: ErrorCode.UNREACHABLE,
      hop: Hop.APISERVER,
      message: expect.stringMatching(/cannot reach the apiserver .*check its address/),
    });
  });

  it("because nobody listens", async () => {
    const gone = await ApiserverFixture.start(tls, authority.pem);
    const { url } = gone;
    await gone.close();
    const own = new Apiserver({
      kubeconfig: await fixture.kubeconfig({ token: "own" }, { server: url }),
      context: undefined,
    });
    await expect(checkLeastPrivilege(own)).rejects.toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.APISERVER });
    (await own.connection()).pool.retire();
  });

  it("because its certificate is of another authority", async () => {
    const stranger = await CertificateAuthority.create("test cluster", 1);
    const data = { "certificate-authority-data": Buffer.from(stranger.pem).toString("base64") };
    const own = new Apiserver({ kubeconfig: await fixture.kubeconfig({ token: "own" }, data), context: undefined });
    await expect(checkLeastPrivilege(own)).rejects.toMatchObject({ code: ErrorCode.UNREACHABLE });
    expect(fixture.seen).toEqual([]);
    (await own.connection()).pool.retire();
  });

  it("and no error has the credential in it", async () => {
    answer(401, "own-token-1f2e");
    await expect(check()).rejects.not.toThrow(/own-token-1f2e/);
  });
});
