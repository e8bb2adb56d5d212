import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { changed, headOf, type Opening, onOpening, statusOf, withHeaders } from "../support/attempt.ts";
import { AuditLog } from "../support/audit-log.ts";
import { HostileScene, OTHER } from "../support/hostile-scene.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { alice } from "../support/tunnel.ts";

const { cluster, admin } = await setScene();
const scene = HostileScene.set(cluster.testbed, true);
const REFUSED = (says: RegExp) => [
  expect.objectContaining({
    case: "error",
    value: expect.objectContaining({ code: 3, hop: 4, message: expect.stringMatching(says) }), // TOKEN_REFUSED, IDENTITY_PROXY
  }),
];
let count = 0;
/** A path that no other test asks for. */
const newPath = () => `/api/v1/namespaces?limit=${1_000 + count++}`;

describe("a hostile relay that replays", () => {
  it("can send a request whose token is bound to no key again, and it is carried out again", async () => {
    await scene.useToken(await scene.plainToken());
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const path = newPath();
    expect((await scene.request({}, path)).status).toBe(200);
    expect(statusOf(await scene.relay.send([lastSeen()]))).toBe(200);
    await audit.waitFor(({ requestURI }) => requestURI === path, "the request");
    expect((await audit.read()).filter(({ requestURI }) => requestURI === path)).toHaveLength(2);
  });

  it("cannot send a request with a bound token again", async () => {
    await scene.useToken(await scene.boundToken());
    expect((await scene.request({}, newPath())).status).toBe(200);
    expect(await scene.relay.send([lastSeen()])).toEqual(REFUSED(/used before/));
  });
});

describe("a hostile relay that edits headers", () => {
  const own: [what: string, name: string, value: string][] = [
    ["Impersonate-User", "Impersonate-User", "system:admin"],
    ["impersonate-group", "impersonate-group", "system:masters"],
    ["Impersonate-Extra-scopes", "Impersonate-Extra-scopes", "all"],
    ["an Impersonate- that is not invented yet", "Impersonate-Tomorrow", "x"],
  ];

  it.each(own)("gets the request refused by adding %s", async (_what, name, value) => {
    await scene.useToken(await scene.plainToken());
    const answer = await scene.request(adding([name, value]), newPath());
    expect(answer.status).toBe(403);
    expect(answer.headers["fairlead-error"]).toBe('ACCESS_DENIED; hop="identity proxy"');
  });

  const ineffective: [what: string, headers: [string, string][]][] = [
    [
      "X-Remote-User and X-Remote-Group",
      [
        ["X-Remote-User", "system:admin"],
        ["X-Remote-Group", "system:masters"],
      ],
    ],
    ["Connection: Impersonate-User", [["Connection", "Impersonate-User"]]],
    ["Connection: Authorization, Impersonate-Group", [["Connection", "Authorization, Impersonate-Group"]]],
    [
      "X-Forwarded-For and Audit-ID",
      [
        ["X-Forwarded-For", "192.0.2.1"],
        ["Audit-ID", "of-its-own"],
      ],
    ],
  ];

  it.each(ineffective)("changes nothing of who acts by %s", async (_what, headers) => {
    await scene.useToken(await scene.plainToken());
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const answer = await scene.request(adding(...headers), newPath());
    expect(answer.status).toBe(200);
    const event = await audit.waitFor(({ auditID }) => auditID === answer.headers["audit-id"], "the request");
    expect(event.user.username).toMatch(/:identity-proxy$/);
    expect(event.impersonatedUser).toMatchObject({ username: alice.email, groups: ["dev", "system:authenticated"] });
  });

  it("gets the request refused by a second Authorization, and by none", async () => {
    await scene.useToken(await scene.plainToken());
    const second = await scene.request(adding(["Authorization", `Bearer ${await scene.plainToken()}`]), newPath());
    expect(second.headers["fairlead-error"]).toBe('MALFORMED_REQUEST; hop="identity proxy"');
    const none = await scene.request(
      onOpening((frame) => withHeaders(frame, [], (name) => name !== "authorization")),
      newPath(),
    );
    expect(none.headers["fairlead-error"]).toBe('TOKEN_REFUSED; hop="identity proxy"');
  });

  it("can put another person's token that it has seen in the place of the caller's, if it is bound to no key", async () => {
    await scene.useToken(await scene.boundToken());
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const bobs = await scene.plainToken({ email: "bob@example.com" });
    const path = newPath();
    expect((await scene.request(withToken(bobs), path)).status).toBe(403); // bob may list nothing
    const event = await audit.waitFor(({ requestURI }) => requestURI === path, "the request");
    expect(event.impersonatedUser?.username).toBe("bob@example.com");
  });

  it("can change a header that says nothing of the caller, even if the token is bound to a key", async () => {
    await scene.useToken(await scene.boundToken());
    const answer = await scene.request(adding(["Accept", "application/yaml"]), newPath());
    expect([answer.status, answer.headers["content-type"]]).toEqual([200, "application/yaml"]);
  });

  it("can give a request another id in the cluster's audit log", async () => {
    await scene.useToken(await scene.boundToken());
    const exchangeId = Buffer.from("0123456789abcdef0123456789abcdef", "hex");
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await scene.request(
      onOpening((frame) => changed(frame, { exchangeId })),
      newPath(),
    );
    await audit.waitFor(({ auditID }) => auditID === "01234567-89ab-cdef-0123-456789abcdef", "the request");
  });
});

describe("a hostile relay that invents users", () => {
  const claims = () => ({
    iss: scene.issuer.url,
    aud: "fairlead",
    email: "root@example.com",
    exp: Date.now() / 1_000 + 600,
  });
  const tokens: [what: string, token: () => Promise<string>][] = [
    ["a token that nobody signed", async () => new UnsecuredJWT(claims()).encode()],
    [
      "a token that it signed itself, under the issuer's name and key id",
      () => scene.issuer.token(claims(), "elsewhere"),
    ],
    [
      "a token that it signed with the issuer's public key as a secret",
      () => {
        const secret = Buffer.from(JSON.stringify(scene.issuer.shownKey));
        return new SignJWT(claims()).setProtectedHeader({ alg: "HS256", kid: "the-key" }).sign(secret);
      },
    ],
    ["a token of an issuer of its own", () => ownIssuer.token(claims())],
    [
      "a token that says where its key is",
      async () => {
        const { privateKey, publicKey } = await generateKeyPair("ES256");
        const where = { jku: `${ownIssuer.url}/keys`, x5u: `${ownIssuer.url}/x5u`, jwk: await exportJWK(publicKey) };
        return new SignJWT(claims()).setProtectedHeader({ alg: "ES256", ...where }).sign(privateKey);
      },
    ],
    ["a join token", () => readFile(scene.tunnel.file("join-token"), "utf8")],
    ["no token", async () => ""],
  ];
  let ownIssuer: SigningIssuer;

  beforeAll(async () => {
    ownIssuer = await SigningIssuer.start();
  });
  afterAll(() => ownIssuer.stop());

  it.each(tokens)("cannot with %s", async (_what, token) => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const path = newPath();
    const answer = await scene.request(withToken(await token()), path);
    expect([answer.status, answer.headers["fairlead-error"]]).toEqual([401, 'TOKEN_REFUSED; hop="identity proxy"']);
    expect((await audit.read()).filter(({ requestURI }) => requestURI === path)).toEqual([]);
    expect(ownIssuer.asked).toBe(0); // no address of a token's is dialled
  });
});

describe("a hostile relay that carries a request to another cluster", () => {
  it("can, under that cluster's name, if its token is bound to no key and the cluster takes the same audience", async () => {
    await scene.useToken(await scene.plainToken());
    const renamed = changed(await scene.held(newPath()), { cluster: OTHER });
    expect(statusOf(await scene.relay.send([renamed], OTHER))).toBe(200);
  });

  it("cannot, under that cluster's name, if the token is bound to a key", async () => {
    await scene.useToken(await scene.boundToken());
    const frame = await scene.held(newPath());
    const renamed = changed(frame, { cluster: OTHER });
    expect(await scene.relay.send([renamed], OTHER)).toEqual(REFUSED(/another request \(htu\)/));
  });

  it("cannot, under the first cluster's name, whatever the token: each cluster knows its own", async () => {
    for (const token of [scene.plainToken, scene.boundToken]) {
      await scene.useToken(await token.call(scene));
      const value = {
        code: 4,
        hop: 4,
        message: expect.stringMatching(/for the cluster "testbed", and this is another/),
      }; // ACCESS_DENIED
      const frames = await scene.relay.send([await scene.held(newPath())], OTHER);
      expect(frames).toEqual([expect.objectContaining({ case: "error", value: expect.objectContaining(value) })]);
    }
  });

  it("cannot if the cluster takes another audience", async () => {
    for (const token of [scene.plainToken, scene.boundToken]) {
      await scene.useToken(await token.call(scene, { aud: "fairlead:testbed" }));
      const frame = await scene.held(newPath());
      expect(await scene.relay.send([changed(frame, { cluster: OTHER })], OTHER)).toEqual(REFUSED(/audience|htu/));
      expect(statusOf(await scene.relay.send([frame]))).toBe(200);
    }
  });
});

describe("a hostile relay that changes what is asked", () => {
  const into: [what: string, change: { method?: string; target?: string; upgrade?: string }][] = [
    ["another method", { method: "DELETE" }],
    ["another path", { target: "/api/v1/secrets" }],
    ["another query", { target: "/api/v1/namespaces?watch=true" }],
  ];

  it.each(into)("cannot make a request with a bound token into one with %s", async (_what, change) => {
    await scene.useToken(await scene.boundToken());
    expect(await scene.relay.send([changed(await scene.held(newPath()), change)])).toEqual(REFUSED(/another request/));
  });

  it("can make a request whose token is bound to no key into any other of its caller's", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "doomed");
    await scene.useToken(await scene.plainToken());
    const target = `/api/v1/namespaces/${namespace}/configmaps/doomed`;
    const frame = changed(await scene.held(newPath()), { method: "DELETE", target });
    expect(statusOf(await scene.relay.send([frame]))).toBe(200);
    await expect(admin.get(target)).rejects.toMatchObject({ statusCode: 404 });
  });

  it("can change a request's body, even if the token is bound to a key", async () => {
    const namespace = await createNamespace(admin);
    await scene.useToken(await scene.boundToken());
    const frame = withHeaders(await scene.held(`/api/v1/namespaces/${namespace}/configmaps`, "POST"), [
      ["Content-Type", "application/json"],
    ]);
    const body = Buffer.from(JSON.stringify({ metadata: { name: "of-the-relay" } }));
    const head = withHeaders(frame, [["Content-Length", String(body.length)]], (name) => name !== "content-length");
    if (head.case !== "whole") throw new Error("the request has no body in its first frame");
    expect(statusOf(await scene.relay.send([{ ...head, value: { ...head.value, body } }]))).toBe(201);
    expect(await admin.get(`/api/v1/namespaces/${namespace}/configmaps/of-the-relay`)).toBeDefined();
  });
});

describe("a hostile relay that takes a context's scope off", () => {
  let configMap: string;

  beforeAll(async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "kept");
    configMap = `/api/v1/namespaces/${namespace}/configmaps/kept`;
  });

  const withoutScope = onOpening((frame) => {
    const { scope: _, ...head } = headOf(frame);
    return frame.case === "whole" ? { ...frame, value: { ...frame.value, head } } : { ...frame, value: head };
  });
  const readOnly = async () => {
    const file = scene.tunnel.file("kubeconfig-read-only");
    await scene.tunnel.cli(alice, "kubeconfig", scene.tunnel.cluster, "--read-only", "--file", file);
    return file;
  };

  it("cannot widen a request whose token is bound to a key", async () => {
    await scene.useToken(await scene.boundToken());
    scene.relay.attempt = withoutScope;
    const answer = await rawRequest(await readOnly(), configMap, [], "DELETE");
    expect(answer).toMatchObject({ status: 401, body: expect.stringMatching(/another request \(fairlead_scope\)/) });
  });

  it("can widen a request whose token is bound to no key to all that its caller may", async () => {
    await scene.useToken(await scene.plainToken());
    const file = await readOnly();
    expect((await rawRequest(file, configMap, [], "DELETE")).body).toMatch(/this context is read-only/);
    scene.relay.attempt = withoutScope;
    expect(await rawRequest(file, configMap, [], "DELETE")).toMatchObject({ status: 200 });
  });
});

function lastSeen(): Opening {
  const frame = scene.relay.seen.at(-1);
  if (frame === undefined) throw new Error("the relay has seen nothing");
  return frame;
}

const adding = (...headers: [string, string][]) => onOpening((frame) => withHeaders(frame, headers));
const withToken = (token: string) =>
  onOpening((frame) => withHeaders(frame, [["Authorization", `Bearer ${token}`]], (name) => name !== "authorization"));
