import { readFile, stat, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { eventually } from "../support/eventually.ts";
import { Home } from "../support/home.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { TcpBox } from "../support/middle-boxes/tcp-box.ts";
import { MoreClusters } from "../support/more-clusters.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
const NAMES = ["emea", "apac", "amer"];
const more = new MoreClusters();
let own: TunnelToTestbed;
let home: Home;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  await more.add(own.tunnel, NAMES, "dev");
});
afterAll(async () => {
  await more.stop();
  await own?.stop();
});
beforeEach(async () => {
  home = await Home.make(cluster.testbed.dir, {
    ...{ FAIRLEAD_RELAY: own.tunnel.relayUrl, FAIRLEAD_RELAY_CA: own.tunnel.file("ca.crt") },
    FAIRLEAD_TOKEN: (await readFile(own.tunnel.tokenFile(alice), "utf8")).trim(),
  });
});
afterEach(async () => {
  await home.run(["proxy", "--stop"]);
});

const kubectl = (...args: string[]) => kubectls(cluster).at(-1)?.kubectl.against(home.file(".kube/config")).run(args);
const pidsOf = async (): Promise<number[]> =>
  JSON.parse((await home.run(["proxy", "--status", "--output", "json"])).stdout).map(({ pid }: { pid: number }) => pid);

describe("a proxy in the background", () => {
  it("is ready when the command returns, for all clusters, each by a context of its own", async () => {
    const outcome = await home.run(["proxy", "--label", "env=test", "--background", "--output", "json"]);
    expect(outcome).toMatchObject({ code: 0 });
    const { contexts } = JSON.parse(outcome.stdout);
    expect(contexts.map(({ context }: { context: string }) => context)).toEqual([
      ...["fairlead-amer", "fairlead-apac", "fairlead-emea"],
    ]);
    for (const name of ["fairlead-apac", "fairlead-amer"]) {
      expect(await kubectl("--context", name, "get", "namespaces", "-o", "name")).toMatchObject({
        ...{ code: 0, stdout: expect.stringContaining("namespace/default") },
      });
    }
  });

  it("shows what it serves, and its log; stopped, it is gone", async () => {
    await home.run(["proxy", "emea", "--background"]);
    const { stdout } = await home.run(["proxy", "--status"]);
    expect(stdout).toMatch(/^CLUSTER +SERVER +CONNECTIONS/);
    expect(stdout).toMatch(/^emea +https:\/\/127\.0\.0\.1:2\d{4} /m);
    expect(stdout).not.toContain((await readFile(own.tunnel.tokenFile(alice), "utf8")).trim());
    const logs = await home.run(["proxy", "--logs"]);
    expect(logs.stdout).toMatch(/Cluster emea is at/);
    const [pid = 0] = await pidsOf();
    expect(await home.run(["proxy", "--stop"])).toMatchObject({ code: 0 });
    expect(await pidsOf()).toEqual([]);
    await eventually(
      () =>
        stat(`/proc/${pid}`).then(
          () => false,
          () => true,
        ),
      { what: "its process to end" },
    );
  });

  it("serves the others when one's port is taken, and says so", async () => {
    // The tunnel's own client proxy, which has another home, has the port of the cluster testbed for this file's token.
    const ofFile = ["--background", "--token-file", own.tunnel.tokenFile(alice)];
    const outcome = await home.run(["proxy", "--all", ...ofFile]);
    expect(outcome).toMatchObject({
      ...{ code: 0, stderr: expect.stringMatching(/Cluster testbed is not served: port \d+ of this machine is taken/) },
    });
    expect(parse(await readFile(home.file(".kube/config"), "utf8")).contexts).toHaveLength(3);
    const alone = await home.run(["proxy", "testbed", ...ofFile]);
    expect(alone).toMatchObject({ code: 1, stderr: expect.stringMatching(/error: .*is taken/) });
  });

  it("goes on by itself when the network was gone for 20 s without a word, as after a laptop's sleep", async () => {
    const box = await TcpBox.start(new URL(own.tunnel.relayUrl));
    try {
      const atBox = ["--relay", box.url, "--background"];
      expect(await home.run(["proxy", "emea", ...atBox])).toMatchObject({ code: 0 });
      const pids = await pidsOf();
      expect(await kubectl("get", "namespaces")).toMatchObject({ code: 0 });
      box.lose();
      const meanwhile = kubectl("get", "namespaces");
      await sleep(20_000);
      expect(await meanwhile).toMatchObject({ code: 1, stderr: expect.stringMatching(/relay: /) });
      box.find();
      expect(await kubectl("get", "namespaces")).toMatchObject({ code: 0 });
      expect(await pidsOf()).toEqual(pids);
    } finally {
      await box.stop();
    }
  });

  it("that cannot start says why", async () => {
    const outcome = await home.run(["proxy", "emea", "--background", "--dpop-key", "/nowhere"]);
    expect(outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/did not get ready.*\n.*\/nowhere cannot be used/s),
    });
  });
});

describe("a proxy that is called again", () => {
  it("joins the first, however many are called at the same moment", async () => {
    const all = await Promise.all(
      ["amer", "emea", "apac", "emea"].map((name) => home.run(["proxy", name, "--background"])),
    );
    expect(all.map(({ code, stderr }) => [code, /error/.test(stderr)])).toEqual(Array(4).fill([0, false]));
    expect(await pidsOf()).toHaveLength(1);
    const merged = parse(await readFile(home.file(".kube/config"), "utf8"));
    expect(merged.contexts).toHaveLength(3);
    for (const name of NAMES) {
      expect(await kubectl("--context", `fairlead-${name}`, "version")).toMatchObject({ code: 0 });
    }
  });

  it("joins one in the foreground, and returns", async () => {
    const first = home.start(["proxy", "amer", "--output", "json"]);
    await first.waitForOutput(/"ready":true/);
    expect(await home.run(["proxy", "emea"])).toMatchObject({ code: 0 });
    expect(await kubectl("--context", "fairlead-emea", "version")).toMatchObject({ code: 0 });
    first.signal("SIGINT");
    expect(await first.exited).toMatchObject({ code: 0 });
    expect(await pidsOf()).toEqual([]);
  });

  it("takes over from one that was killed", async () => {
    await home.run(["proxy", "emea", "--background"]);
    const [pid = 0] = await pidsOf();
    process.kill(pid, "SIGKILL");
    expect(await home.run(["proxy", "emea", "--background"])).toMatchObject({ code: 0 });
    expect(await kubectl("get", "namespaces")).toMatchObject({ code: 0 });
  });

  it("with another token does not join: nobody gets through as somebody else", async () => {
    await home.run(["proxy", "emea", "--background"]);
    await writeFile(home.file("token"), await readFile(own.tunnel.tokenFile(own.tunnel.administrator), "utf8"));
    await home.run(["proxy", "apac", "--background", "--token-file", home.file("token")]);
    // The administrator may reach none: had the call joined, apac would be served as alice.
    expect(await kubectl("--context", "fairlead-apac", "version")).not.toMatchObject({ code: 0 });
  });
});

describe("contexts", () => {
  it("have the names and the namespace that the user wants, and are removed on request", async () => {
    await home.run(["kubeconfig", "--all", "--merge", "--context-name", "{cluster}", "--namespace", "kube-system"]);
    const merged = parse(await readFile(home.file(".kube/config"), "utf8"));
    expect(merged.contexts.map(({ name }: { name: string }) => name)).toEqual(["amer", "apac", "emea", "testbed"]);
    expect(merged.contexts[0].context.namespace).toBe("kube-system");
    await home.run(["kubeconfig", "emea", "--remove"]);
    await home.run(["kubeconfig", "--all", "--remove"]);
    expect(parse(await readFile(home.file(".kube/config"), "utf8"))).toMatchObject({
      clusters: [],
      contexts: [],
      users: [],
    });
  });
});

describe("one command over many clusters", () => {
  const exec = (...args: string[]) => home.run(["exec", ...args], { PATH: `${home.folder}:/usr/bin:/bin` });
  const kubectlFile = () => cluster.testbed.kubectl;

  it("runs in each, with lines by cluster, and exits 0 if all succeed", async () => {
    const outcome = await exec("--all", "--", kubectlFile(), "get", "namespace", "default", "-o", "name");
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(outcome.stdout.split("\n").sort()).toEqual([
      ...["", "amer    | namespace/default", "apac    | namespace/default", "emea    | namespace/default"],
      "testbed | namespace/default",
    ]);
  });

  it("says which failed, and exits by the rule", async () => {
    const script = '[ "$FAIRLEAD_CLUSTER" != emea ] || exit 3';
    const failing = await exec("--all", "--", "sh", "-c", script);
    expect(failing).toMatchObject({ code: 1, stderr: "3 of 4 succeeded; failed: emea (exit 3)\n" });
    expect(await exec("--all", "--succeed-if", "any", "--", "sh", "-c", script)).toMatchObject({ code: 0 });
    expect(await exec("--all", "--succeed-if", "always", "--", "false")).toMatchObject({ code: 0 });
    expect(await exec("--all", "--succeed-if", "any", "--", "false")).toMatchObject({ code: 1 });
  });

  it("runs in those of a label alone, and gives a program a line of JSON for each", async () => {
    const { stdout } = await exec(
      "--label",
      "env=test",
      "--output",
      "json",
      "--",
      "sh",
      "-c",
      "echo aye; echo nay >&2",
    );
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ cluster: name }) => name).sort()).toEqual(["amer", "apac", "emea"]);
    for (const line of lines) expect(line).toMatchObject({ code: 0, stdout: "aye\n", stderr: "nay\n" });
  });

  it("keeps its hands off words that are the command's own", async () => {
    const { stdout } = await exec("emea", "--", "echo", "--all", "--", "apac", "--output", "x");
    expect(stdout).toBe("--all -- apac --output x\n");
  });

  it("ends those that take too long, and says so of a program that is not there", async () => {
    const slow = await exec("emea", "--timeout", "1", "--", "sleep", "60");
    expect(slow).toMatchObject({ code: 143 });
    const two = await exec("emea", "apac", "--timeout", "1", "--", "sleep", "60");
    expect(two).toMatchObject({ code: 1, stderr: expect.stringContaining("emea (exit 143)") });
    const missing = await exec("emea", "--", "no-such-program");
    expect(missing).toMatchObject({
      code: 127,
      stderr: expect.stringMatching(/emea: no-such-program cannot be started.*ENOENT/),
    });
  });

  it("leaves no kubeconfig behind, and the user's own as it was", async () => {
    const { stdout } = await exec("emea", "--", "sh", "-c", "echo $KUBECONFIG; stat -c %a $KUBECONFIG");
    const [file = "", mode] = stdout.trim().split("\n");
    expect(mode).toBe("600");
    await expect(stat(file)).rejects.toThrow(/ENOENT/);
    await expect(stat(home.file(".kube/config"))).rejects.toThrow(/ENOENT/);
  });

  it("passes on input, output and exit code of a command in a single one", async () => {
    const program = home.start(["exec", "emea", "--", "sh", "-c", "cat; echo nay >&2; exit 7"]);
    expect(await program.exited).toMatchObject({ code: 7 });
    expect([program.stdout, program.stderr]).toEqual(["", "nay\n"]);
  });
});

describeWithNode("an exec by SPDY in a command of `fairlead exec`", () => {
  it("that loses the relay on its way exits non-zero", async () => {
    const pod = ["exec", "p1", "--", "sh", "-c", "echo begun; sleep 60"];
    const spdy = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false" };
    const program = home.start(["exec", "emea", "--", cluster.testbed.kubectl, ...pod], spdy);
    await program.waitForOutput(/begun/);
    await own.tunnel.processes.relay.end("SIGKILL");
    const { code } = await program.exited;
    await own.tunnel.startProcess("relay");
    expect([code, program.stderr]).toEqual([1, expect.stringMatching(/error: fairlead: .* was lost while/)]);
  });
});
