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
  it.each<[what: string, mode: string, rules: object[]]>([
    ["with impersonation and what everybody has", "plain", [IMPERSONATE, ...EVERYBODYS]],
    ["with impersonation alone", "plain", [IMPERSONATE]],
    ["with impersonation by name", "plain", [{ ...IMPERSONATE, resourceNames: ["jane"] }]],
    [
      "with impersonation of uids and extras",
      "plain",
      [{ verbs: ["impersonate"], resources: ["uids", "userextras/scopes"] }],
    ],
    [
      "with constrained impersonation beside plain, which makes it plain",
      "plain",
      [IMPERSONATE, { verbs: ["impersonate:user-info"], apiGroups: ["authentication.k8s.io"], resources: ["users"] }],
    ],
    [
      "with constrained impersonation (KEP-5284)",
      "capped",
      [
        { verbs: ["impersonate:user-info"], apiGroups: ["authentication.k8s.io"], resources: ["users"] },
        {
          verbs: ["impersonate-on:user-info:list", "impersonate-on:user-info:get"],
          apiGroups: [""],
          resources: ["pods"],
        },
      ],
    ],
  ])("%s", async (_what, mode, rules) => {
    grant(rules);
    await expect(check()).resolves.toMatchObject({ mode });
  });

  it("with a cap on paths", async () => {
    const paths = { verbs: ["impersonate-on:user-info:get"], nonResourceURLs: ["/api", "/metrics"] };
    grant([{ verbs: ["impersonate:user-info"], resources: ["users", "groups"] }], [...DISCOVERY, paths]);
    await expect(check()).resolves.toMatchObject({ mode: "capped" });
  });

  it("and is asked about as itself, once in each namespace", async () => {
    grant([IMPERSONATE]);
    await check();
    const reviews = fixture.seen.filter(({ url }) => url.endsWith("selfsubjectrulesreviews"));
    expect(reviews.map(({ body }) => JSON.parse(body).spec.namespace).sort()).toEqual(["default", "kube-system"]);
    const [seen] = reviews;
    expect(seen).toMatchObject({ method: "POST", url: "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews" });
    expect(valuesOf(seen, "authorization")).toEqual(["Bearer own-token-1f2e"]);
    expect(seen?.headers.filter(([name]) => /^impersonate-/i.test(name))).toEqual([]);
    expect(JSON.parse(seen?.body ?? "")).toMatchObject({ kind: "SelfSubjectRulesReview" });
  });
});

describe("what the account may impersonate besides users and groups", () => {
  const extras = (rule: object = {}) => ({
    verbs: ["impersonate"],
    resources: ["uids", "userextras/example.com/team"],
    ...rule,
  });

  it("is what its rules name, and nothing else", async () => {
    grant([IMPERSONATE, extras()]);
    const { mayImpersonate } = await check();
    expect(
      ["uids", "userextras/example.com/team", "userextras/other.example/team", "serviceaccounts"].map(mayImpersonate),
    ).toEqual([...[true, true, false, false]]);
  });

  it("is everything where its rules name all resources", async () => {
    grant([IMPERSONATE, extras({ resources: ["*"] })]);
    expect((await check()).mayImpersonate("userextras/example.com/team")).toBe(true);
  });

  it.each<[what: string, rule: object]>([
    ["by the verb of another mode", { verbs: ["impersonate:user-info"] }],
    ["for some values alone", { resourceNames: ["blue"] }],
  ])("is not what they name %s", async (_what, rule) => {
    grant([IMPERSONATE, extras(rule)]);
    expect((await check()).mayImpersonate("userextras/example.com/team")).toBe(false);
  });

  it("is not what they name in one namespace alone, which counts for no impersonation", async () => {
    fixture.answer = ({ body }, response) => {
      const here = JSON.parse(body).spec?.namespace === "default" ? [extras()] : [];
      const status = { resourceRules: [IMPERSONATE, ...here], nonResourceRules: DISCOVERY };
      response.writeHead(201).end(JSON.stringify({ status }));
    };
    expect((await check()).mayImpersonate("uids")).toBe(false);
  });

  it("is tried with nobody's uid and extras: one that the apiserver refuses would keep everybody out", async () => {
    grant([IMPERSONATE, extras()]);
    await check();
    const tried = fixture.seen.find(({ url }) => url === "/apis/authentication.k8s.io/v1/selfsubjectreviews");
    expect(valuesOf(tried, "impersonate-uid")).toEqual(["fairlead:probe"]);
    expect(valuesOf(tried, "impersonate-extra-example.com%2fteam")).toEqual(["fairlead:probe"]);
  });
});

describe("whether the account can impersonate", () => {
  it("is tried with a person who does not exist", async () => {
    grant([IMPERSONATE]);
    await check();
    const tried = fixture.seen.find(({ url }) => url === "/apis/authentication.k8s.io/v1/selfsubjectreviews");
    expect(valuesOf(tried, "impersonate-user")).toEqual(["fairlead:probe"]);
    expect(valuesOf(tried, "impersonate-group")).toEqual(["fairlead:probe"]);
  });

  it("is not tried where it may impersonate some by name only", async () => {
    grant([{ ...IMPERSONATE, resourceNames: ["jane"] }]);
    await check();
    expect(fixture.seen.filter(({ url }) => url.endsWith("/selfsubjectreviews"))).toEqual([]);
  });

  it("stops the start where it cannot, with what the apiserver says and what to do", async () => {
    fixture.answer = ({ url }, response) => {
      if (url.endsWith("/selfsubjectreviews")) {
        return response.writeHead(403).end(JSON.stringify({ message: 'cannot impersonate resource "groups"' }));
      }
      const status = { resourceRules: [IMPERSONATE], nonResourceRules: DISCOVERY };
      return response.writeHead(201).end(JSON.stringify({ status }));
    };
    await expect(check()).rejects.toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      hop: Hop.IDENTITY_PROXY,
      message: expect.stringMatching(
        /cannot impersonate \(cannot impersonate resource "groups"\).*`fairlead rbac` prints/,
      ),
    });
  });

  it.each<[what: string, rules: object[]]>([
    ["no right at all", []],
    ["what everybody has", EVERYBODYS],
    ["a cap and nobody to impersonate", [{ verbs: ["impersonate-on:user-info:get"], resources: ["pods"] }]],
  ])("is plain from the account's rights: with %s it cannot", async (_what, rules) => {
    grant(rules);
    await expect(check()).rejects.toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      message: expect.stringMatching(/cannot impersonate \(it has no right to\)/),
    });
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
