import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { kubectls, streamingKubectls } from "../support/kubectls-under-test.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
/** How late an exchange may end, in milliseconds, as it is documented. */
const PROMISED_MS = 5_000;
let issuer: SigningIssuer;
let own: TunnelToTestbed;

beforeAll(async () => {
  issuer = await SigningIssuer.start();
  const entry = issuer.entry(["fairlead"]);
  own = await startTunnel(cluster.testbed, { moreIssuers: { relay: [entry], identityProxy: [entry] } });
});
afterAll(async () => {
  await own.stop();
  issuer.stop();
});

/** Ways in which access ends while a request is under way. Each is begun before the request, and says when it ends. */
const ENDS: [what: string, says: RegExp, prepare: () => Promise<() => Promise<number>>][] = [
  [
    "its token expires",
    /your token expired while the request was under way; get a new one/,
    async () => {
      const exp = Math.floor(Date.now() / 1_000) + 5;
      await writeFile(own.tunnel.tokenFile(alice), await issuer.token({ exp }));
      return async () => exp * 1_000;
    },
  ],
  [
    "the rule that allows it is removed",
    /there is no cluster testbed, or you have no access to it/,
    async () => {
      await asAdministrator("rules", "create", "shift", ...RULE);
      await asAdministrator("rules", "delete", "everybody");
      return async () => {
        await asAdministrator("rules", "delete", "shift");
        return Date.now();
      };
    },
  ],
  [
    "the rule that allows it expires",
    /there is no cluster testbed, or you have no access to it/,
    async () => {
      const atMs = Date.now() + 5_000;
      await asAdministrator(
        "rules",
        "create",
        "shift",
        ...RULE,
        "--expires",
        `${new Date(atMs).toISOString().slice(0, 19)}Z`,
      );
      await asAdministrator("rules", "delete", "everybody");
      return async () => atMs;
    },
  ],
];

const RULE = ["--user", alice.email, "--cluster", "testbed"];
const asAdministrator = (...args: string[]) =>
  own.tunnel.cli({ email: "administrator@fairlead.dev", groups: [] }, ...args);

/** As it was at first: a good token, and one rule. */
beforeEach(async () => {
  await writeFile(own.tunnel.tokenFile(alice), await issuer.token());
  await asAdministrator("rules", "delete", "shift").catch(() => {});
  await asAdministrator("rules", "create", "everybody", ...RULE).catch(() => {});
});

/** Waits for the program's end, which must come when the access ends, and not before. */
async function endedInTime(program: RunningProgram, end: () => Promise<number>) {
  const atMs = await end();
  const { code } = await program.exited;
  expect(Date.now()).toBeGreaterThanOrEqual(Math.floor(atMs / 1_000) * 1_000);
  expect(Date.now() - atMs).toBeLessThan(PROMISED_MS);
  return code;
}

describe.each(kubectls(cluster))("a watch with $name", ({ kubectl }) => {
  it.each(ENDS)("ends and says why when %s", async (_what, says, prepare) => {
    const end = await prepare();
    const watch = kubectl.against(own.tunnel.kubeconfig).start(["get", "pods", "-w"]);
    await watch.waitForOutput(/^p1 /m);
    await endedInTime(watch, end); // with 0, as after every end of a watch: kubectl prints the Status as a row
    expect(watch.stdout).toMatch(/^STATUS +REASON +MESSAGE\nFailure +/m);
    expect(watch.stdout).toMatch(says);
  });
});

describeWithNode.each(streamingKubectls(cluster))("an exec with $name", ({ kubectl }) => {
  it.each(ENDS)("exits non-zero and says why when %s", async (_what, says, prepare) => {
    const end = await prepare();
    const command = ["exec", "p1", "--", "sh", "-c", "echo begun; sleep 60; echo done"];
    const exec = kubectl.against(own.tunnel.kubeconfig).start(command);
    await exec.waitForOutput(/begun/);
    const code = await endedInTime(exec, end);
    expect(code).toBe(1);
    expect(exec.stdout).toBe("begun\n");
    expect(exec.stderr).toMatch(says);
  });
});

describeWithNode("a cluster that is removed", () => {
  it("ends its watches and execs, and they say why", async () => {
    const through = kubectls(cluster).at(-1)?.kubectl.against(own.tunnel.kubeconfig);
    const watch = through?.start(["get", "pods", "-w"]);
    const exec = through?.start(["exec", "p1", "--", "sh", "-c", "echo begun; sleep 60"]);
    await Promise.all([watch?.waitForOutput(/^p1 /m), exec?.waitForOutput(/begun/)]);
    await asAdministrator("clusters", "delete", "testbed");
    const removedMs = Date.now();
    const ends = await Promise.all([watch?.exited, exec?.exited]);
    expect(Date.now() - removedMs).toBeLessThan(PROMISED_MS);
    expect(ends[1]?.code).toBe(1);
    for (const output of [watch?.stdout, exec?.stderr])
      expect(output).toMatch(/there is no cluster testbed, or you have/);
  });
});
