import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { parse, stringify } from "yaml";
import { Balancer } from "../support/balancer.ts";
import { eventually } from "../support/eventually.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { Load } from "../support/load.ts";
import { describeWithPostgresql, Postgresql } from "../support/postgresql.ts";
import { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
const main = createRequire(import.meta.url).resolve("@fairlead/relay/main");
const newest = streamingKubectls(cluster).at(-1)?.kubectl;

describeWithPostgresql()("a relay whose database is PostgreSQL", () => {
  let postgresql: Postgresql;
  let balancer: Balancer;
  let own: TunnelToTestbed;
  const next: RunningProgram[] = [];

  beforeAll(async () => {
    postgresql = await Postgresql.start();
    balancer = await Balancer.start();
    own = await startTunnel(cluster.testbed, {
      relayConfig: {
        database: { urlFile: await postgresql.urlFile() },
        agents: { certFile: "agents.crt", keyFile: "agents.key" },
      },
      relayUrlFor: async (_name, url) => {
        balancer.target = Number(new URL(url).port);
        return balancer.url;
      },
      args: (name) => (name === "relay" ? ["--grace", "60"] : []),
    });
  });
  afterAll(async () => {
    await own?.stop();
    await Promise.all(next.map((program) => program.stop()));
    balancer?.stop();
    await postgresql?.stop();
  });

  /** Starts a relay with the same database beside the first. @returns its port */
  async function startNextRelay(): Promise<number> {
    const config = parse(await readFile(own.tunnel.file("relay.yaml"), "utf8"));
    const file = own.tunnel.file("next-relay.yaml");
    await writeFile(file, stringify({ ...config, listen: "127.0.0.1:0" }));
    const program = new RunningProgram({ file: process.execPath, args: [main, "--config", file] });
    next.push(program);
    const [, url = ""] = await program.waitForOutput(/"ready":true.*"url":"([^"]+)"/);
    return Number(new URL(url).port);
  }

  /** What the administrator runs, at the first relay. */
  const administrate = (...args: string[]) => own.tunnel.cli(own.tunnel.administrator, ...args);

  it("keeps there what it keeps, but no join token", async () => {
    expect((await postgresql.ask("select name, users from access_rules")).trim()).toBe(
      'everybody|["alice@example.com"]',
    );
    expect(await postgresql.ask("select cluster, cluster_uid from agents")).toMatch(/^testbed\|/);
    const token = (await readFile(own.tunnel.file("join-token"), "utf8")).trim();
    expect(await postgresql.ask("select * from join_tokens")).not.toContain(token);
  });

  it("serves on while the database is away, and keeps again when it is back", async () => {
    await postgresql.stopServer();
    const load = new Load(own.tunnel.kubeconfig, "/api/v1/namespaces?limit=1", 1);
    await eventually(() => load.count > 50, { what: "requests without a database" });
    expect(Object.keys(await load.stop())).toEqual(["200"]);
    await expect(administrate("clusters", "create", "another")).rejects.toThrow();
    await postgresql.startServer();
    await administrate("clusters", "create", "another");
    expect(await postgresql.ask("select name from clusters order by name")).toBe("another\ntestbed\n");
  });

  it("is replaced by another one under load: no request is lost, and an exec stays open at the first", async () => {
    if (!newest) throw new Error("this machine has no kubectl");
    const exec = newest.against(own.tunnel.kubeconfig).start(["exec", "--stdin", "p1", "--", "cat"]);
    exec.write("begun\n");
    await exec.waitForOutput(/begun/);
    const load = new Load(own.tunnel.kubeconfig, "/api/v1/namespaces?limit=1", 4);
    await eventually(() => load.count > 200, { what: "requests before" });
    balancer.target = await startNextRelay();
    await administrate("clusters", "create", "late");
    await administrate("rules", "create", "late", "--user", alice.email, "--cluster", "late");
    const { relay } = own.tunnel.processes;
    if (relay.pid) process.kill(relay.pid, "SIGTERM");
    const before = load.count;
    await eventually(() => load.count > before + 1_000, { what: "requests through the next relay", timeoutMs: 90_000 });
    expect(Object.keys(await load.stop())).toEqual(["200"]);
    // What was changed at the first one, when the next one was there, counts at the next one.
    expect(await own.tunnel.cli(alice, "clusters", "--output", "json")).toContain('"late"'); // by the balancer
    expect(relay.pid).toBeDefined(); // for the exec alone
    exec.write("still here\n");
    await exec.waitForOutput(/still here/);
    exec.endInput();
    expect(await exec.exited).toMatchObject({ code: 0, signal: null });
    await eventually(() => relay.pid === undefined, { what: "the end of the first relay" });
  }, 240_000);
});
