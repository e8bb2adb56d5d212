import { describe, expect, it } from "@jest/globals";
import { capRules, impersonationRules } from "./impersonation-rights.ts";

const on = (...verbs: string[]) => verbs.map((verb) => `impersonate-on:user-info:${verb}`);

const WAY = ["relay", "cluster", "session", "client"].map((name) => `userextras/fairlead.dev/${name}`);

describe("the rights of an identity proxy's account", () => {
  it("without a cap are to impersonate users, groups and the extras that name the way, and nothing else", () => {
    expect(impersonationRules()).toEqual([
      { verbs: ["impersonate"], apiGroups: [""], resources: ["users", "groups"] },
      { verbs: ["impersonate"], apiGroups: ["authentication.k8s.io"], resources: WAY },
    ]);
  });

  it("have uids and each extra of the tokens' by name, in the API group that these are of", () => {
    expect(impersonationRules({ uids: true, extraKeys: ["example.com/team"] })[1]).toEqual({
      verbs: ["impersonate"],
      apiGroups: ["authentication.k8s.io"],
      resources: ["uids", ...WAY, "userextras/example.com/team"],
    });
  });

  it("for acting as others have service accounts, uids, and the extra that says who asked", () => {
    expect(impersonationRules({ actingAs: true })).toEqual([
      { verbs: ["impersonate"], apiGroups: [""], resources: ["users", "groups", "serviceaccounts"] },
      {
        verbs: ["impersonate"],
        apiGroups: ["authentication.k8s.io"],
        resources: ["uids", ...WAY, "userextras/fairlead.dev/original-user"],
      },
    ]);
  });

  it("with a cap have no plain impersonation: beside it the cap would limit nobody", () => {
    const rules = impersonationRules({ uids: true, actingAs: true }, capRules("get:pods"));
    expect(rules.flatMap(({ verbs }) => verbs)).not.toContain("impersonate");
    expect(rules[0]).toEqual({
      verbs: ["impersonate:user-info"],
      apiGroups: ["authentication.k8s.io"],
      resources: ["users", "groups", "uids", ...WAY, "userextras/fairlead.dev/original-user"],
    });
    expect(rules.at(-1)).toEqual({ verbs: on("get"), apiGroups: [""], resources: ["pods"] });
  });

  it("with a cap let discovery and reviews of oneself through, or kubectl would do nothing", () => {
    const rules = impersonationRules({}, []);
    expect(rules).toContainEqual({
      verbs: on("get"),
      nonResourceURLs: expect.arrayContaining(["/apis/*", "/version"]),
    });
    expect(rules).toContainEqual({
      verbs: on("create"),
      apiGroups: ["authentication.k8s.io"],
      resources: ["selfsubjectreviews"],
    });
    expect(rules.every(({ verbs }) => verbs.every((verb) => /^impersonate(:|-on:)user-info/.test(verb)))).toBe(true);
  });
});

describe("a cap", () => {
  it.each<[text: string, rules: object[]]>([
    ["get:pods", [{ verbs: on("get"), apiGroups: [""], resources: ["pods"] }]],
    [
      "get,list,watch:pods,pods/log,deployments.apps",
      [
        { verbs: on("get", "list", "watch"), apiGroups: [""], resources: ["pods", "pods/log"] },
        { verbs: on("get", "list", "watch"), apiGroups: ["apps"], resources: ["deployments"] },
      ],
    ],
    ["create:pods/exec", [{ verbs: on("create"), apiGroups: [""], resources: ["pods/exec"] }]],
    ["patch:*.apps", [{ verbs: on("patch"), apiGroups: ["apps"], resources: ["*"] }]],
    [
      "get:roles.rbac.authorization.k8s.io",
      [{ verbs: on("get"), apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles"] }],
    ],
    ["list,watch:*", [{ verbs: on("list", "watch"), apiGroups: ["*"], resources: ["*"] }]],
    ["get:/livez,/metrics", [{ verbs: on("get"), nonResourceURLs: ["/livez", "/metrics"] }]],
    [
      "get:pods,/livez",
      [
        { verbs: on("get"), apiGroups: [""], resources: ["pods"] },
        { verbs: on("get"), nonResourceURLs: ["/livez"] },
      ],
    ],
  ])("%s", (text, rules) => {
    expect(capRules(text)).toEqual(rules);
  });

  it.each([
    "get:*",
    "get,list,watch:*",
    "create:*",
    "get:*/*",
    "get:pods/*",
    "list,get:pods,nodes/*",
    "create:services/*",
  ])("that would let exec through without naming it is refused: %s", (text) => {
    expect(() => capRules(text)).toThrow(/would let exec through as well; name the resources/);
  });

  it.each([
    "",
    "pods",
    "get",
    "get:",
    ":pods",
    "*:pods",
    "get,*:pods",
    "get,:pods",
    "GET:pods",
    "get:Pods",
    "get:pods,",
    "get:po ds",
    "get:pods/",
    "get:pods//log",
    "get;list:pods",
  ])("that is none is refused: %j", (text) => {
    expect(() => capRules(text)).toThrow(/is no cap; write VERBS:RESOURCES/);
  });
});
