import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { directKubeconfig, replaceToken } from "../support/direct.ts";
import { kubectls, streamingKubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();
/** How late a request may end, in milliseconds, as it is documented. */
const PROMISED_MS = 5_000;
/** By itself `kubectl proxy` leaves the path of its context's server out. */
const PROXY = ["proxy", "--port=0", "--append-server-path"];
const newest = kubectls(cluster).at(-1)?.kubectl;
if (!newest) throw new Error("there is no kubectl");

let issuer: SigningIssuer;
let own: TunnelToTestbed;
let kubeconfig: string;
beforeAll(async () => {
  issuer = await SigningIssuer.start();
  const entries = [issuer.entry(["fairlead"])];
  own = await startTunnel(cluster.testbed, { moreIssuers: { relay: entries, identityProxy: entries } });
  kubeconfig = await directKubeconfig(own.tunnel);
}, 60_000);
afterAll(async () => {
  await own.stop();
  issuer.stop();
});

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;
const at = () => newest.against(kubeconfig);

describe("a client that lives for long, without a client proxy", () => {
  it("runs the plugin again after a 401, and is let in by what that gives then", async () => {
    await replaceToken(own.tunnel, await issuer.token({ aud: "another" }));
    const proxy = at().start(PROXY);
    const [, address = ""] = await proxy.waitForOutput(/Starting to serve on (\S+)/);
    const ask = async () => (await fetch(`http://${address}/api/v1/namespaces/default`)).status;
    expect(await ask()).toBe(401);
    await replaceToken(own.tunnel, await issuer.token());
    expect([await ask(), await ask()]).toContain(200); // the first may be what made it run the plugin
    expect(await ask()).toBe(200);
    await proxy.stop();
  });

  it("asks the plugin before the token expires, and sees no 401 at all", async () => {
    await replaceToken(own.tunnel, await issuer.token({ exp: inSeconds(6) }));
    const proxy = at().start(PROXY);
    const [, address = ""] = await proxy.waitForOutput(/Starting to serve on (\S+)/);
    const statuses = new Set<number>();
    const untilMs = Date.now() + 9_000;
    let isReplaced = false;
    while (Date.now() < untilMs) {
      statuses.add((await fetch(`http://${address}/api/v1/namespaces/default`)).status);
      if (!isReplaced) await replaceToken(own.tunnel, await issuer.token());
      isReplaced = true;
    }
    expect([...statuses]).toEqual([200]);
    await proxy.stop();
  });
});

describe("a token that has expired, without a client proxy", () => {
  it("is not sent: kubectl says what its plugin said", async () => {
    await replaceToken(own.tunnel, await issuer.token({ exp: inSeconds(-60) }));
    const outcome = await at().run(["get", "namespaces"]);
    expect(outcome).toMatchObject({ code: 1, stdout: "" });
    expect(outcome.stderr).toMatch(/fairlead: client proxy: your token expired at .*; get a new one/);
  });

  it("is refused by the relay with a sentence that kubectl prints, where the plugin does not see it", async () => {
    await replaceToken(own.tunnel, await issuer.token({ aud: "another" }));
    const outcome = await at().run(["get", "namespaces"]);
    expect(outcome).toMatchObject({ code: 1 });
    expect(outcome.stderr).toMatch(/You must be logged in to the server|fairlead: relay: /);
  });

  it("ends a watch with an ERROR event", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "before");
    const exp = inSeconds(10);
    await replaceToken(own.tunnel, await issuer.token({ exp }));
    const watch = at().start(["get", "configmaps", "-n", namespace, "-w"]);
    await watch.waitForOutput(/^before /m);
    await watch.exited;
    expect(Date.now() - exp * 1_000).toBeLessThan(PROMISED_MS);
    expect(watch.stdout).toMatch(/^Failure +Unauthorized +.*your token expired/m);
  });
});

describeWithNode.each(streamingKubectls(cluster))("an exec without a client proxy, $name", ({ kubectl }) => {
  it("exits 1 with a sentence when its token expires", async () => {
    const exp = inSeconds(8);
    await replaceToken(own.tunnel, await issuer.token({ exp }));
    const exec = kubectl.against(kubeconfig).start(["exec", "p1", "--", "sh", "-c", "echo begun; sleep 60"]);
    await exec.waitForOutput(/begun/);
    expect(await exec.exited).toMatchObject({ code: 1 });
    expect(Date.now() - exp * 1_000).toBeLessThan(PROMISED_MS);
    expect(exec.stderr).toMatch(/fairlead: (relay|identity proxy): your token expired/);
  });

  it("exits 1 with a sentence when the relay is stopped, or its agent lost", async () => {
    await replaceToken(own.tunnel, await issuer.token());
    for (const [hop, signal, why] of [
      ["agent", "SIGKILL", /^error: fairlead: agent: the connection was lost while/m],
      ["relay", "SIGTERM", /^error: fairlead: relay: the relay was stopped while/m],
    ] as const) {
      const exec = kubectl.against(kubeconfig).start(["exec", "p1", "--", "sh", "-c", "echo begun; sleep 60"]);
      await exec.waitForOutput(/begun/);
      await own.tunnel.processes[hop].end(signal);
      const { code } = await exec.exited;
      await own.tunnel.startProcess(hop);
      expect([hop, code]).toEqual([hop, 1]);
      expect(exec.stderr).toMatch(why);
    }
  });

  (kubectl.protocol === "WebSocket" ? it : it.skip)("exits 1 when the relay dies without a word", async () => {
    await replaceToken(own.tunnel, await issuer.token());
    const exec = kubectl.against(kubeconfig).start(["exec", "p1", "--", "sh", "-c", "echo begun; sleep 60"]);
    await exec.waitForOutput(/begun/);
    await own.tunnel.processes.relay.end("SIGKILL");
    const { code } = await exec.exited;
    await own.tunnel.startProcess("relay");
    expect(code).toBe(1);
  });
});
