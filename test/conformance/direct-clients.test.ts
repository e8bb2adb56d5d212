import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { directKubeconfig, replaceToken } from "../support/direct.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { otherClients } from "../support/other-clients.ts";
import { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin, describeWithNode } = await setScene();
const clients = await otherClients();

let issuer: SigningIssuer;
let own: TunnelToTestbed;
let kubeconfig: string;
beforeAll(async () => {
  issuer = await SigningIssuer.start();
  const entries = [issuer.entry(["fairlead"])];
  own = await startTunnel(cluster.testbed, { moreIssuers: { relay: entries, identityProxy: entries } });
  kubeconfig = await directKubeconfig(own.tunnel);
  await own.tunnel.processes["client proxy"].end(); // nothing of the user's machine is in the way
}, 60_000);
afterAll(async () => {
  await own.stop();
  issuer.stop();
});

describe.each(clients)("a client in $name, with a kubeconfig alone", ({ command }) => {
  const start = (...args: string[]) => new RunningProgram({ ...command, args: [...command.args, kubeconfig, ...args] });

  it("lists", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "tide");
    const list = start("list", namespace);
    list.endInput();
    expect(await list.exited).toMatchObject({ code: 0 });
    expect(list.stdout.split(/\s/)).toContain("tide");
  });

  it("has a watch at once, before there is any event, and then each event", async () => {
    const namespace = await createNamespace(admin);
    const watch = start("watch", namespace);
    await watch.waitForOutput(/^open$/m);
    for (const name of ["ebb", "flood"]) {
      await createConfigMap(admin, namespace, name);
      await watch.waitForOutput(new RegExp(`^ADDED ${name}$`, "m"));
    }
    await watch.stop();
  });

  it("runs the plugin again before the token expires, and sees no 401", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "tide");
    const exp = Math.floor(Date.now() / 1_000) + 8;
    await replaceToken(own.tunnel, await issuer.token({ exp }));
    const list = start("list", namespace);
    await list.waitForOutput(/tide/);
    await replaceToken(own.tunnel, await issuer.token());
    let asked = 1;
    while (Date.now() < (exp + 2) * 1_000) {
      list.write("\n");
      await list.waitForOutput(new RegExp(`(.*\n){${++asked}}`));
    }
    list.endInput();
    await list.exited;
    for (const line of list.stdout.trim().split("\n")) expect(line).toMatch(/\btide$/);
  });

  it("has its watch ended by an error, and not as if in good order, when its token expires", async () => {
    const exp = Math.floor(Date.now() / 1_000) + 8;
    await replaceToken(own.tunnel, await issuer.token({ exp }));
    const watch = start("watch", await createNamespace(admin));
    await watch.waitForOutput(/^open$/m);
    await replaceToken(own.tunnel, await issuer.token());
    expect(await watch.exited).toMatchObject({ code: 1 });
    expect(watch.stderr).toMatch(/your token expired/);
  });

  it("is given the sentence of a refusal", async () => {
    await replaceToken(own.tunnel, await issuer.token({ aud: "another" }));
    const list = start("list", "default");
    list.endInput();
    await list.exited;
    await replaceToken(own.tunnel, await issuer.token());
    expect(list.stdout).toMatch(/fairlead: relay: .*\baud/);
  });
});

describeWithNode.each(clients)("a command in a pod, from $name", ({ command }) => {
  const start = (script: string) =>
    new RunningProgram({
      ...command,
      args: [...command.args, kubeconfig, "exec", "default", "p1", "sh", "-c", script],
    });

  it("has its output and its exit code", async () => {
    const exec = start("seq 20000; exit 7");
    expect({ ...(await exec.exited), stderr: exec.stderr }).toMatchObject({ code: 7, stderr: "" });
    expect(exec.stdout.trim().split("\n")).toEqual(Array.from({ length: 20_000 }, (_, i) => String(i + 1)));
  });

  it("fails with a sentence when its token expires", async () => {
    await replaceToken(own.tunnel, await issuer.token({ exp: Math.floor(Date.now() / 1_000) + 8 }));
    const exec = start("sleep 60");
    expect(await exec.exited).toMatchObject({ code: 1 });
    await replaceToken(own.tunnel, await issuer.token());
    expect(exec.stderr).toMatch(/fairlead: .*your token expired/);
  });
});
