import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { ActingAs } from "./acting-as.ts";
import { Apiserver } from "./apiserver.ts";
import { ApiserverFixture, type KeyPair, valuesOf } from "./apiserver-fixture.ts";
import type { Impersonated } from "./impersonation.ts";
import { rightsTo } from "./rights-fixture.ts";

const NEEDED = ["uids", "serviceaccounts", "userextras/fairlead.dev/original-user"];
const jane: Impersonated = {
  ...{ user: "jane", groups: ["dev", "a, b"], uid: "42" },
  extra: { "example.com/team": ["blue"] },
};
const joe: Impersonated = { user: "joe", groups: [], uid: undefined };

let authority: CertificateAuthority;
let tls: KeyPair;
let cluster: ApiserverFixture;
let apiserver: Apiserver;
let actingAs: ActingAs;
/** What a caller may impersonate, as `resource name` or `resource/subresource name`. */
let allowed: Set<string>;

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "kube-apiserver", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  cluster = await ApiserverFixture.start(tls, authority.pem);
  apiserver = new Apiserver({ kubeconfig: await cluster.kubeconfig({ token: "own-token" }), context: undefined });
  actingAs = new ActingAs(apiserver, rightsTo("userextras/example.com/team", ...NEEDED));
  allowed = new Set(["users joe"]);
  cluster.answer = ({ body }, response) => {
    const { resource, subresource, name } = JSON.parse(body).spec.resourceAttributes;
    const asked = `${resource}${subresource ? `/${subresource}` : ""} ${name}`;
    response.writeHead(201).end(JSON.stringify({ status: { allowed: allowed.has(asked) } }));
  };
});

afterEach(async () => {
  jest.useRealTimers();
  const { pool, callersPool } = await apiserver.connection();
  pool.retire();
  callersPool.retire();
  await cluster.close();
});

const reviews = () => cluster.seen.map(({ body }) => JSON.parse(body).spec.resourceAttributes);

describe("a caller who may act as another", () => {
  it("does, and an extra says who asked", async () => {
    await expect(actingAs.authorize(jane, joe)).resolves.toEqual({
      ...joe,
      extra: { "fairlead.dev/original-user": ["jane"] },
    });
  });

  it("is asked about as that caller, with groups, uid and extras, and by our own credential", async () => {
    await actingAs.authorize(jane, joe);
    const [seen] = cluster.seen;
    expect(seen).toMatchObject({ method: "POST", url: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" });
    expect(valuesOf(seen, "authorization")).toEqual(["Bearer own-token"]);
    expect(valuesOf(seen, "impersonate-user")).toEqual(["jane"]);
    expect(valuesOf(seen, "impersonate-group")).toEqual(["dev", "a, b"]);
    expect(valuesOf(seen, "impersonate-uid")).toEqual(["42"]);
    expect(valuesOf(seen, "impersonate-extra-example.com%2fteam")).toEqual(["blue"]);
  });

  it("is asked about every part, each in its API group", async () => {
    const target = { user: "joe", groups: ["ops", "qa"], uid: "7", extra: { "example.com/team": ["blue", "green"] } };
    const parts = ["groups ops", "groups qa", "uids 7", "example.com/team blue", "example.com/team green"];
    for (const part of parts) allowed.add(part.startsWith("example") ? `userextras/${part}` : part);
    await actingAs.authorize(jane, target);
    const verb = "impersonate";
    const group = "authentication.k8s.io";
    const extra = { verb, group, resource: "userextras", subresource: "example.com/team" };
    expect(reviews()).toHaveLength(6);
    expect(reviews()).toEqual(
      expect.arrayContaining([
        { verb, resource: "users", name: "joe" },
        { verb, resource: "groups", name: "ops" },
        { verb, resource: "groups", name: "qa" },
        { verb, group, resource: "uids", name: "7" },
        { ...extra, name: "blue" },
        { ...extra, name: "green" },
      ]),
    );
  });

  it("is asked about a service account as one, in its namespace", async () => {
    allowed.add("serviceaccounts builder");
    await actingAs.authorize(jane, { ...joe, user: "system:serviceaccount:ci:builder" });
    expect(reviews()).toEqual([{ verb: "impersonate", resource: "serviceaccounts", namespace: "ci", name: "builder" }]);
  });

  it("is not asked about again for 5 s, and then is", async () => {
    await actingAs.authorize(jane, joe);
    await actingAs.authorize(jane, joe);
    expect(cluster.seen).toHaveLength(1);
    jest.useFakeTimers({
      now: Date.now() + 5_001,
      doNotFake: ["setTimeout", "setInterval", "setImmediate", "nextTick"],
    });
    allowed.clear();
    await expect(actingAs.authorize(jane, joe)).rejects.toMatchObject({ code: ErrorCode.ACCESS_DENIED });
    expect(cluster.seen).toHaveLength(2);
  });

  it.each<[what: string, caller: Impersonated, target: Impersonated]>([
    ["another caller", { ...jane, user: "eve" }, joe],
    ["the same caller with fewer groups", { ...jane, groups: ["dev"] }, joe],
    ["the same name with another uid", { ...jane, uid: "43" }, joe],
    ["the same caller with other extras", { ...jane, extra: {} }, joe],
    ["another target", jane, { ...joe, groups: ["ops"] }],
  ])("lets %s do nothing", async (_what, caller, target) => {
    await actingAs.authorize(jane, joe);
    cluster.answer = (_seen, response) => response.writeHead(201).end(JSON.stringify({ status: { allowed: false } }));
    await expect(actingAs.authorize(caller, target)).rejects.toMatchObject({ code: ErrorCode.ACCESS_DENIED });
  });
});

describe("a caller who may not act as another in one part", () => {
  it.each<[what: string, target: Partial<Impersonated>, named: RegExp]>([
    ["the user", { user: "root" }, /jane may not impersonate users "root"/],
    ["a group", { groups: ["ops"] }, /groups "ops"/],
    ["the uid", { uid: "7" }, /uids "7"/],
    ["an extra", { extra: { "example.com/team": ["red"] } }, /userextras\/example.com\/team "red"/],
  ])("is refused for all: %s", async (_what, target, named) => {
    await expect(actingAs.authorize(jane, { ...joe, ...target })).rejects.toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      hop: Hop.IDENTITY_PROXY,
      message: expect.stringMatching(named),
    });
  });

  it("is not remembered: a right that is given counts at once", async () => {
    allowed.clear();
    await expect(actingAs.authorize(jane, joe)).rejects.toMatchObject({ code: ErrorCode.ACCESS_DENIED });
    allowed.add("users joe");
    await expect(actingAs.authorize(jane, joe)).resolves.toMatchObject({ user: "joe" });
  });
});

describe("nobody acts", () => {
  const all = () => {
    cluster.answer = (_seen, response) => response.writeHead(201).end(JSON.stringify({ status: { allowed: true } }));
  };

  it.each([
    ["as system:masters, whatever their rights", { ...joe, groups: ["dev", "system:masters"] }, /system:masters/],
    [
      "with an extra that the owner has not listed",
      { ...joe, extra: { scopes: ["x"] } },
      /not listed the extra scopes/,
    ],
  ])("%s", async (_what, target, says) => {
    all();
    await expect(actingAs.authorize(jane, target)).rejects.toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      message: expect.stringMatching(says),
    });
    expect(cluster.seen).toEqual([]);
  });

  it.each(["system:serviceaccount:ci:builder", "system:node:n1", "system:anything"])(
    "as %s through a capped tunnel, which is for people",
    async (user) => {
      all();
      const capped = new ActingAs(apiserver, { ...rightsTo(...NEEDED), mode: "capped" });
      await expect(capped.authorize(jane, { ...joe, user })).rejects.toMatchObject({ code: ErrorCode.ACCESS_DENIED });
    },
  );

  it.each<[status: number, body: string, code: ErrorCode]>([
    [200, '{"status":{"allowed":true}}', ErrorCode.ACCESS_DENIED],
    [201, '{"status":{"allowed":"true"}}', ErrorCode.ACCESS_DENIED],
    [201, '{"status":{}}', ErrorCode.ACCESS_DENIED],
    [201, "<html>", ErrorCode.ACCESS_DENIED],
    [201, "null", ErrorCode.ACCESS_DENIED],
    [403, "{}", ErrorCode.ACCESS_DENIED],
    [500, "{}", ErrorCode.ACCESS_DENIED],
    [401, "{}", ErrorCode.OWN_CREDENTIAL_REFUSED],
  ])("when the apiserver answers %i %s", async (status, body, code) => {
    cluster.answer = (_seen, response) => response.writeHead(status).end(body);
    await expect(actingAs.authorize(jane, joe)).rejects.toMatchObject({ code });
  });

  it("when the apiserver is cut off", async () => {
    cluster.answer = (_seen, response) => response.destroy();
    await expect(actingAs.authorize(jane, joe)).rejects.toMatchObject({ code: ErrorCode.UNREACHABLE });
  });
});

describe("an identity proxy that lets callers act as others", () => {
  it.each(NEEDED)("does not start without the right to impersonate %s", (missing) => {
    const others = NEEDED.filter((each) => each !== missing);
    expect(() => new ActingAs(apiserver, rightsTo(...others))).toThrow(
      expect.objectContaining({ code: ErrorCode.ACCESS_DENIED, message: expect.stringContaining(missing) }),
    );
  });
});
