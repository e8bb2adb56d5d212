import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { impersonationRules } from "@fairlead/authorization";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type AuditEvent, AuditLog } from "../support/audit-log.ts";
import { eventually } from "../support/eventually.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
/** A job of GitHub Actions': its name is what its repository may run. */
const JOB = {
  run_id: "größe 7/9 (%2f)",
  email: undefined,
  sub: "repo:example/app:environment:production",
  repository: "example/app",
};
const JOB_USER = `github:${JOB.sub}`;
let ci: SigningIssuer;
let own: TunnelToTestbed;

beforeAll(async () => {
  ci = await SigningIssuer.start();
  const { url, certificateAuthority } = ci;
  const entry = {
    issuer: { url, certificateAuthority, audiences: ["fairlead"] },
    claimMappings: {
      username: { claim: "sub", prefix: "github:" },
      groups: { expression: '["github:repository:" + claims.repository]' },
      uid: { claim: "sub" },
      extra: [
        { key: "example.com/run:(id)", valueExpression: "claims.run_id" },
        { key: "example.com/unlisted", valueExpression: "claims.run_id" },
      ],
    },
  };
  own = await startTunnel(cluster.testbed, {
    moreIssuers: { relay: [entry], identityProxy: [entry] },
    rules: impersonationRules({ uids: true, extraKeys: ["example.com/run:(id)"] }),
  });
  const administrator = { email: "administrator@fairlead.dev", groups: [] };
  await own.tunnel.cli(administrator, "rules", "create", "ci", "--user", JOB_USER, "--cluster", own.tunnel.cluster);
});
afterAll(async () => {
  await own.stop();
  ci.stop();
});

/** The line of the identity proxy's own record under an id. */
async function recordOf(auditID: string): Promise<Record<string, unknown>> {
  return eventually(
    async () => {
      const lines = (await readFile(own.tunnel.file("identity-proxy.log"), "utf8")).split("\n");
      const line = lines.find((each) => each.includes(auditID));
      return line !== undefined && JSON.parse(line);
    },
    { what: `the record of ${auditID}`, timeoutMs: 10_000 },
  );
}

describeWithNode.each(streamingKubectls(cluster).slice(0, 2))("a person's requests with $name", ({ kubectl }) => {
  const does: [what: string, args: string[], is: (event: AuditEvent) => boolean, status: number][] = [
    ["get", ["get", "pod", "p1"], ({ verb, requestURI }) => verb === "get" && requestURI.includes("pods/p1"), 200],
    ["watch", ["get", "pods", "-w", "--request-timeout=2s"], ({ verb }) => verb === "watch", 200],
    ["exec", ["exec", "p1", "--", "true"], ({ requestURI }) => requestURI.includes("/exec"), 101],
  ];

  it.each(does)("are in both records under one id: %s", async (_what, args, is, status) => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await kubectl.against(own.tunnel.kubeconfig).run(args);
    const isAlices = (event: AuditEvent) =>
      event.user.username === own.account && event.impersonatedUser?.username === alice.email && is(event);
    const event = await audit.waitFor(isAlices, args.join(" "));
    expect(event.impersonatedUser?.groups).toEqual(expect.arrayContaining(alice.groups));
    expect(event.impersonatedUser?.extra).toEqual({
      "fairlead.dev/relay": [new URL(own.tunnel.relayUrl).origin],
      "fairlead.dev/cluster": [own.tunnel.cluster],
      "fairlead.dev/session": [expect.stringMatching(/^[0-9a-f]{16}$/)],
      "fairlead.dev/client": [expect.stringMatching(/^fairlead\/\d/)],
    });
    const [path] = event.requestURI.split("?", 1);
    expect(await recordOf(event.auditID)).toMatchObject({
      auditID: event.auditID,
      user: alice.email,
      path,
      status,
      cluster: own.tunnel.cluster,
      client: expect.stringMatching(/^fairlead\//),
    });
  });
});

describe("a CI job's request", () => {
  it("is in both records under one id, with the job's own name and group", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await writeFile(own.tunnel.tokenFile(alice), await ci.token(JOB));
    expect((await rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces/default/configmaps")).status).toBe(403);
    await writeFile(own.tunnel.tokenFile(alice), await own.tunnel.issuer.tokenFor(alice));
    const event = await audit.waitFor(({ impersonatedUser }) => impersonatedUser?.username === JOB_USER, "the job");
    expect(event.impersonatedUser).toMatchObject({ uid: JOB.sub });
    expect(event.impersonatedUser?.groups).toContain("github:repository:example/app");
    expect(event.impersonatedUser?.extra).toMatchObject({
      "example.com/run:(id)": [JOB.run_id],
      "fairlead.dev/cluster": [own.tunnel.cluster],
    });
    expect(await recordOf(event.auditID)).toMatchObject({ user: JOB_USER, groups: 1, status: 403 });
  });
});

describe("an extra that the cluster's owner has not listed", () => {
  it("is left out, and keeps nobody out", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await writeFile(own.tunnel.tokenFile(alice), await ci.token(JOB));
    await rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces?limit=17");
    await writeFile(own.tunnel.tokenFile(alice), await own.tunnel.issuer.tokenFor(alice));
    const event = await audit.waitFor(({ requestURI }) => requestURI.includes("limit=17"), "the job");
    expect(event.impersonatedUser?.username).toBe(JOB_USER);
    expect(event.impersonatedUser?.extra).not.toHaveProperty("example.com/unlisted");
    const url = own.tunnel.privateUrls["identity proxy"];
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^fairlead_left_out_extras 1$/m);
  });
});

describe("the record", () => {
  it("takes no id of the client's", async () => {
    const theirs = randomUUID();
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    await rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces?limit=13", ["Audit-ID", theirs]);
    const event = await audit.waitFor(({ requestURI }) => requestURI.includes("limit=13"), "a list");
    expect(event.auditID).not.toBe(theirs);
    expect(await recordOf(event.auditID)).toMatchObject({ path: "/api/v1/namespaces" });
  });

  it("has what was refused, with the reason, and nothing of a query", async () => {
    const target = "/api/v1/namespaces?secret=canary-1c55";
    await rawRequest(own.tunnel.kubeconfig, target, ["Impersonate-User", "root"]);
    const log = own.tunnel.file("identity-proxy.log");
    await eventually(
      async () => /"refused":"ACCESS_DENIED","reason":"impersonation/.test(await readFile(log, "utf8")),
      {
        what: "the refusal in the record",
        timeoutMs: 10_000,
      },
    );
    expect(await readFile(log, "utf8")).not.toContain("canary-1c55");
  });
});
