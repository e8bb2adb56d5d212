import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { AuditLog } from "../support/audit-log.ts";
import { freePorts } from "../support/free-port.ts";
import type { Kubectl } from "../support/kubectl.ts";
import { kubectls, streamingKubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();
/** How late a request may end, in milliseconds, as it is documented. */
const PROMISED_MS = 5_000;
/** How long the first token lasts, in seconds. */
const LIFETIME_SECONDS = 9;

/** Client proxies, each with a token file of its own. All begin with a token of Alice's, and get another in time. */
const bob = { email: "bob@example.com", groups: ["dev"] };
const [ofBob, ofFewer, unchanged] = ["of-bob", "of-fewer", "unchanged"].map((name) => ({
  email: `${name}@example.com`,
  groups: [],
}));
const REPLACED = [
  { what: "one of another user, who may do the same", by: ofBob, claims: bob },
  { what: "one of the same user with a group less", by: ofFewer, claims: { groups: ["dev"] } },
  { what: "none", by: unchanged, claims: undefined },
];
const GROUPS = { groups: ["dev", "ops"] };

let issuer: SigningIssuer;
let own: TunnelToTestbed;
let audit: AuditLog;
let namespace: string;
let endsAtMs: number;
let watch: RunningProgram;
let execs: RunningProgram[];
const others = new Map<object | undefined, RunningProgram>();

/** It lasts a little beyond its output: over SPDY, a command that ends at once can lose it without us too (ADR 6). */
const EXEC = ["exec", "-i", "p1", "--", "sh", "-c", "echo begun; read line; echo came $line; sleep 1"];
const watchIn = (kubectl: Kubectl, name: string) => kubectl.start(["get", "configmaps", "-n", name, "-w"]);
const newest = kubectls(cluster).at(-1)?.kubectl;

/** All that lives is begun with the first token at once, so that the tests wait for its end once. */
beforeAll(async () => {
  if (!newest) throw new Error("there is no kubectl");
  issuer = await SigningIssuer.start();
  const entries = [issuer.entry(["fairlead"])];
  const people = [ofBob, ofFewer, unchanged].filter((person) => person !== undefined);
  const more = { others: [...people, bob], moreIssuers: { relay: entries, identityProxy: entries } };
  own = await startTunnel(cluster.testbed, more);
  const { tunnel } = own;
  const ports = await freePorts(people.length);
  const kubeconfigs = await Promise.all(people.map((person, i) => tunnel.letIn(person, ports[i] ?? 0)));
  await tunnel.cli({ email: "administrator@fairlead.dev", groups: [] }, ...BOBS_RULE);
  namespace = await createNamespace(admin);
  const elsewhere = await createNamespace(admin);
  for (const name of [namespace, elsewhere]) await createConfigMap(admin, name, "before");
  audit = await AuditLog.fromNow(cluster.testbed.auditLog);

  const exp = Math.floor(Date.now() / 1_000) + LIFETIME_SECONDS;
  endsAtMs = exp * 1_000;
  const first = await issuer.token({ ...GROUPS, exp });
  await Promise.all([alice, ...people].map((person) => writeFile(tunnel.tokenFile(person), first)));
  watch = watchIn(newest.against(tunnel.kubeconfig), namespace);
  const streaming = cluster.testbed.hasNode ? streamingKubectls(cluster).slice(-2) : [];
  execs = streaming.map(({ kubectl }) => kubectl.against(tunnel.kubeconfig).start(EXEC));
  people.forEach((person, i) => {
    others.set(person, watchIn(newest.against(kubeconfigs[i] ?? ""), elsewhere));
  });
  await Promise.all([watch, ...others.values()].map((program) => program.waitForOutput(/^before /m)));
  await Promise.all(execs.map((program) => program.waitForOutput(/begun/)));

  await writeFile(tunnel.tokenFile(alice), await issuer.token(GROUPS));
  for (const { by, claims } of REPLACED) {
    if (by && claims) await writeFile(tunnel.tokenFile(by), await issuer.token({ ...GROUPS, ...claims }));
  }
  expect(Date.now()).toBeLessThan(endsAtMs - 2_000);
}, 60_000);
afterAll(async () => {
  await Promise.all([watch, ...execs].map((program) => program.stop()));
  await own.stop();
  issuer.stop();
});

const BOBS_RULE = ["rules", "create", "bob", "--user", bob.email, "--cluster", "testbed"];

describe("a watch whose token is replaced while it lasts", () => {
  it.each(REPLACED)("ends with the first token when what came is $what", async ({ by }) => {
    const other = others.get(by);
    await other?.exited;
    expect(Date.now()).toBeGreaterThanOrEqual(endsAtMs);
    expect(Date.now() - endsAtMs).toBeLessThan(PROMISED_MS);
    expect(other?.stdout).toMatch(/^Failure +Unauthorized +.*your token expired/m);
  });

  it("goes on beyond the first token's end, as the one request that it was", async () => {
    while (Date.now() < endsAtMs + 2_500) await new Promise((resolve) => setTimeout(resolve, 100));
    await createConfigMap(admin, namespace, "after");
    await watch.waitForOutput(/^after /m);
    expect(watch.stdout).not.toMatch(/Failure|Unauthorized/);
    const events = await audit.read();
    const begun = events.filter(
      ({ verb, stage, requestURI }) =>
        verb === "watch" && stage === "ResponseStarted" && requestURI.includes(`/namespaces/${namespace}/`),
    );
    expect(begun.map(({ impersonatedUser }) => impersonatedUser?.username)).toEqual([alice.email]);
  });
});

describeWithNode("an exec whose token is replaced while it lasts", () => {
  it("goes on beyond the first token's end, over WebSocket and over SPDY", async () => {
    expect(Date.now()).toBeGreaterThan(endsAtMs);
    for (const exec of execs) {
      exec.endInput("late\n");
      expect(await exec.exited).toMatchObject({ code: 0 });
      expect(exec.stdout).toBe("begun\ncame late\n");
    }
  });
});
