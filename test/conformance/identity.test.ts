import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type AuditEvent, AuditLog } from "../support/audit-log.ts";
import { sendToIdentityProxy } from "../support/hostile-relay.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
const ALREADY_EXPIRED = { exp: Math.floor(Date.now() / 1000) - 3600, iat: Math.floor(Date.now() / 1000) - 7200 };
let issuer: SigningIssuer; // shown to the relay with another key
let lenient: SigningIssuer; // shown to the relay with one audience more
let relayOnly: SigningIssuer; // known to the relay alone
let own: TunnelToTestbed;

beforeAll(async () => {
  const start = () => SigningIssuer.start();
  [issuer, lenient, relayOnly] = await Promise.all([start(), start(), start()]);
  own = await startTunnel(cluster.testbed, {
    moreIssuers: {
      relay: [
        issuer.entry(["fairlead"], issuer.elsewhere),
        lenient.entry(["fairlead", "something-else"]),
        relayOnly.entry(["fairlead"]),
      ],
      identityProxy: [issuer.entry(["fairlead"]), lenient.entry(["fairlead"])],
    },
  });
});
afterAll(async () => {
  await own.stop();
  for (const one of [issuer, lenient, relayOnly]) one.stop();
});

describe("a token that the relay lets through", () => {
  const tokens: [string, () => Promise<string>, RegExp][] = [
    ["for a wrong audience", () => lenient.token({ aud: "something-else" }), /audience fairlead/],
    ["of a wrong issuer", () => relayOnly.token(), /issuer is not one that is configured/],
    ["with a wrong signature", () => issuer.token({}, "elsewhere"), /signature is not the issuer's/],
  ];

  it.each(tokens)("%s gets 401 from the identity proxy", async (_, token, reason) => {
    await useToken(await token());
    const answer = await rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces");
    expect(answer.status).toBe(401);
    expect(answer.headers["fairlead-error"]).toBe('TOKEN_REFUSED; hop="identity proxy"');
    expect(JSON.parse(answer.body)).toMatchObject({ kind: "Status", reason: "Unauthorized", code: 401 });
    expect(JSON.parse(answer.body).message).toMatch(reason);
  });

  it("makes kubectl say who refused it", async () => {
    await useToken(await own.tunnel.issuer.tokenFor(alice));
    const kubectl = kubectls(cluster).at(-1)?.kubectl.against(own.tunnel.kubeconfig);
    const home = cluster.testbed.dir;
    expect(await kubectl?.run(["get", "pods"], { home })).toMatchObject({ code: 0 });
    await useToken(await relayOnly.token());
    const outcome = await kubectl?.run(["get", "pods"], { home });
    expect(outcome?.code).toBe(1);
    expect(outcome?.stderr).toMatch(
      /You must be logged in to the server \(fairlead: identity proxy: the token is refused/,
    );
  });
});

describe("a relay that lets everything through", () => {
  const refused: [string, () => Promise<string>][] = [
    ["an expired token", () => issuer.token(ALREADY_EXPIRED)],
    ["a token that is not valid yet", () => issuer.token({ nbf: Math.floor(Date.now() / 1000) + 600 })],
    ["a token that was issued in the future", () => issuer.token({ iat: Math.floor(Date.now() / 1000) + 600 })],
    ["a token for a wrong audience", () => issuer.token({ aud: "something-else" })],
    ["a token of a wrong issuer", () => relayOnly.token()],
    ["a token with a wrong signature", () => issuer.token({}, "elsewhere")],
    ["a token without its user name", () => issuer.token({ email: "" })],
    ["a token of system:masters", () => issuer.token({ groups: ["system:masters"] })],
    ["a token of a system: user", () => issuer.token({ email: "system:admin" })],
    ["a token whose address is not verified", () => issuer.token({ email_verified: false })],
    ["a token that does not say that its address is verified", () => issuer.token({ email_verified: undefined })],
    ["no token", async () => ""],
  ];

  it.each(refused)("cannot make the identity proxy take %s", async (_, token) => {
    const headers = [["Authorization", `Bearer ${await token()}`]] as const;
    const answer = await sendToIdentityProxy(own.tunnel.file("identity-proxy.sock"), "/api/v1/namespaces", headers);
    expect(answer).toMatchObject({ case: "error", value: { code: 3, hop: 4 } }); // TOKEN_REFUSED, IDENTITY_PROXY
  });

  it("gets a good token through, so the refusals above are of the tokens", async () => {
    const headers = [["Authorization", `Bearer ${await issuer.token()}`]] as const;
    const answer = await sendToIdentityProxy(own.tunnel.file("identity-proxy.sock"), "/api/v1/namespaces", headers);
    const head = answer.case === "whole" ? answer.value.head : answer.case === "head" ? answer.value : undefined;
    expect(head?.status).toBe(200);
  });
});

describe("a client's impersonation headers", () => {
  const EXEC = "/api/v1/namespaces/default/pods/p1/exec?command=true&stdout=true";
  const SPDY = ["Connection", "Upgrade", "Upgrade", "SPDY/3.1", "X-Stream-Protocol-Version", "v4.channel.k8s.io"];
  const attempts: [string, string, string[]][] = [
    ["Impersonate-User", "/api/v1/namespaces", ["Impersonate-User", "bob"]],
    ["IMPERSONATE-USER", "/api/v1/namespaces", ["IMPERSONATE-USER", "system:admin"]],
    ["impersonate-group", "/api/v1/namespaces", ["impersonate-group", "system:masters"]],
    ["Impersonate-Uid", "/api/v1/namespaces", ["Impersonate-Uid", "0"]],
    ["Impersonate-Extra-scopes", "/api/v1/namespaces", ["Impersonate-Extra-scopes", "all"]],
    ["a name not yet invented", "/api/v1/namespaces", ["Impersonate-Tomorrow", "x"]],
    ["an upgrade", EXEC, [...SPDY, "Impersonate-Group", "system:masters"]],
  ];

  it.each(attempts)("never arrive: %s", async (_, path, headers) => {
    await useToken(await own.tunnel.issuer.tokenFor(alice));
    const answer = await rawRequest(own.tunnel.kubeconfig, path, headers);
    expect(answer.status).toBe(403);
    expect(answer.headers["fairlead-error"]).toBe('ACCESS_DENIED; hop="identity proxy"');
  });

  const hostile: [string, string[]][] = [
    ["Connection: Impersonate-User", ["Connection", "Impersonate-User"]],
    ["Connection: Authorization, Impersonate-Group", ["Connection", "Authorization, Impersonate-Group"]],
    ["X-Remote-User and X-Remote-Group", ["X-Remote-User", "system:admin", "X-Remote-Group", "system:masters"]],
  ];

  it.each(hostile)("cannot be forged or stripped by %s", async (_, headers) => {
    await useToken(await own.tunnel.issuer.tokenFor(alice));
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const answer = await rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces/default", headers);
    expect(answer.status).toBe(200);
    const event = await audit.waitFor(({ auditID }) => auditID === answer.headers["audit-id"], "the request");
    expect(event.user.username).toMatch(/^system:serviceaccount:fairlead-demo-\w+:identity-proxy$/);
    expect(event.impersonatedUser).toMatchObject({
      username: "alice@example.com",
      groups: ["dev", "system:authenticated"],
    });
  });

  it("show the person for every request that the tunnel let through", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await rawRequest(own.tunnel.kubeconfig, "/version");
    // What the identity proxy asks for itself is as itself, or as a user that is nobody.
    const ofTunnel = ({ user, impersonatedUser }: AuditEvent) =>
      user.username === own.account && impersonatedUser !== undefined && !/:probe$/.test(impersonatedUser.username);
    await audit.waitFor((event) => ofTunnel(event) && event.requestURI === "/version", "the request");
    const through = (await audit.read()).filter(ofTunnel);
    expect(new Set(through.map(({ impersonatedUser }) => impersonatedUser?.username))).toEqual(
      new Set(["alice@example.com"]),
    );
  });
});

describe("the identity proxy's own account", () => {
  it("can do nothing by itself", async () => {
    const answer = await rawRequest(own.tunnel.impersonatorKubeconfig, "/api/v1/namespaces");
    expect(answer.status).toBe(403);
  });
});

/** Gives the client proxy another token; it reads the file again when it changes. */
async function useToken(token: string): Promise<void> {
  await writeFile(own.tunnel.tokenFile(alice), token);
}
