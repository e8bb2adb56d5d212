import { readFileSync } from "node:fs";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { browse } from "../support/browse.ts";
import { Home } from "../support/home.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { LoginProvider } from "../support/login-provider.ts";
import { MoreClusters } from "../support/more-clusters.ts";
import { howtoBlocks } from "../support/pages.ts";
import { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";
import { makeUserCommands } from "../support/user-commands.ts";

const { cluster, admin } = await setScene();
const ROOT = join(import.meta.dirname, "../..");

/** Pages whose reader is at their own machine: what they type is run here, one block after the other, as it stands. */
const RUN = ["log-in.md", "find-what-fails.md", "use-many-clusters.md", "use-without-a-daemon.md"];
/** Likewise, by the relay's administrator. */
const BY_ADMINISTRATOR = "let-people-in.md";
/** The others, with what runs the like of what they say, and the words there by which it can be told. */
const ELSEWHERE: Record<string, [file: string, words: string]> = {
  "connect-a-cluster.md": ["test/real-node/connect.suite.ts", "takes a cluster from nothing to kubectl get pods"],
  "deploy-from-ci.md": [
    "test/real-node/ci-examples.suite.ts",
    "applies manifests and upgrades a release whose pods run then",
  ],
  "install.md": ["test/check/executables.test.ts", "fairlead"],
  "reach-a-service.md": [
    "test/real-node/forward.suite.ts",
    "says where it listens, and curl reads from the Service there",
  ],
  "use-from-a-hub.md": [
    "test/e2e/cluster-profiles.test.ts",
    "are published, each with its state and its address at the relay",
  ],
};

const more = new MoreClusters();
let provider: LoginProvider;
let own: TunnelToTestbed;
let home: Home;
let env: Record<string, string>;

beforeAll(async () => {
  provider = await LoginProvider.start([alice]);
  const entries = [provider.entry];
  own = await startTunnel(cluster.testbed, {
    moreIssuers: { relay: entries, identityProxy: entries },
    relayConfig: { login: provider.login },
  });
  await more.add(own.tunnel, ["prod-eu1", "prod-us1"], "dev", "env=prod");
  home = await Home.make(cluster.testbed.dir);
  env = { ...home.env, ...(await prepareMachine()) };
  await prepareCluster();
});
afterAll(async () => {
  await run("fairlead proxy --stop");
  await more.stop();
  await own?.stop();
  provider?.stop();
});

/** A machine where `fairlead` and `kubectl` are in the PATH, and both authorities are known. */
async function prepareMachine(): Promise<Record<string, string>> {
  const bin = home.file("bin");
  const kubectl = kubectls(cluster).at(-1)?.kubectl.binary.path;
  if (kubectl === undefined) throw new Error("this machine has no kubectl");
  await makeUserCommands(bin, kubectl);
  await copyFile(own.tunnel.tokenFile(alice), home.file("token"));
  const authorities = [await readFile(own.tunnel.file("ca.crt"), "utf8"), provider.certificateAuthority];
  await writeFile(home.file("authorities.crt"), authorities.join("\n"));
  return {
    PATH: `${bin}:/usr/bin:/bin`,
    NODE_EXTRA_CA_CERTS: home.file("authorities.crt"),
    SSL_CERT_FILE: own.tunnel.file("ca.crt"),
  };
}

/** What the pages take to be there: a namespace `shop` with a deployment `web`. */
async function prepareCluster(): Promise<void> {
  await admin.create("/api/v1/namespaces", { metadata: { name: "shop" } });
  const labels = { app: "web" };
  await admin.create("/apis/apps/v1/namespaces/shop/deployments", {
    metadata: { name: "web" },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "web", image: "web" }] } },
    },
  });
}

/** Runs what a page says; the person's browser goes through each login. */
async function run(
  script: string,
  more: Record<string, string> = {},
): Promise<{ code: number | null; output: string }> {
  const text = script.replaceAll("https://relay.example.com", own.tunnel.relayUrl);
  const shell = new RunningProgram({ file: "sh", args: ["-e", "-c", text] }, { env: { ...env, ...more } });
  shell.endInput();
  for (const _login of script.matchAll(/^fairlead login/gm)) {
    await browse(await home.visited(), alice.email, provider.certificateAuthority);
  }
  const { code } = await shell.exited;
  return { code, output: shell.stdout + shell.stderr };
}

describe("what the pages of docs/howto have their reader type", () => {
  const blocks = howtoBlocks();

  it("is run by a test, each of it", () => {
    const pages = new Set(blocks.map(({ page }) => page));
    expect([...pages].sort()).toEqual([...RUN, BY_ADMINISTRATOR, ...Object.keys(ELSEWHERE)].sort());
    for (const [file, words] of Object.values(ELSEWHERE)) {
      expect(readFileSync(join(ROOT, file), "utf8")).toContain(words);
    }
  });

  it.each(blocks.filter(({ page }) => page === "log-in.md"))("$page: $script", async ({ script }) => {
    expect(await run(script)).toMatchObject({ code: 0 });
  });

  it.each(blocks.filter(({ page }) => page === BY_ADMINISTRATOR))("$page: $script", async ({ script }) => {
    const { tunnel } = own;
    const FAIRLEAD_TOKEN = (await readFile(tunnel.tokenFile(tunnel.administrator), "utf8")).trim();
    const { code, output } = await run(script, { FAIRLEAD_RELAY: tunnel.relayUrl, FAIRLEAD_TOKEN });
    expect({ code, output }).toMatchObject({ code: 0, output: expect.not.stringMatching(/error/i) });
  });

  it("begins, for the other pages, with two logins", async () => {
    for (const name of ["admin", "work"]) await run(`fairlead login https://relay.example.com --profile ${name}\n`);
    expect((await run("fairlead profiles use work")).code).toBe(0);
  });

  it.each(blocks.filter(({ page }) => RUN.slice(1).includes(page)))("$page: $script", async ({ script }) => {
    expect(await run(script)).toMatchObject({ code: 0, output: expect.not.stringMatching(/error/i) });
  });
});
