import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { stat, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CertificateAuthority } from "@fairlead/certificates";
import { GrpcConnection } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ApiserverFixture } from "./apiserver-fixture.ts";
import { Requester } from "./requester-fixture.ts";

const MAIN = fileURLToPath(new URL("../bundle/main.js", import.meta.url));
const AUTHENTICATION = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer: { url: "https://issuer.example.com", audiences: [fairlead] }
    claimMappings: { username: { claim: sub, prefix: "" } }
`;

let cluster: ApiserverFixture;
const running = new Set<ChildProcess>();
let resourceRules: object[];

beforeAll(async () => {
  const authority = await CertificateAuthority.create("test cluster", 1);
  const tls = await authority.issue({ commonName: "kube-apiserver", hosts: ["127.0.0.1"], days: 1 });
  cluster = await ApiserverFixture.start(tls, authority.pem);
  resourceRules = [{ verbs: ["impersonate"], resources: ["users"] }];
  cluster.answer = (_seen, response) =>
    response.writeHead(201).end(JSON.stringify({ status: { resourceRules, nonResourceRules: [] } }));
  await cluster.kubeconfig({ token: "own-canary-7f3a" });
  await writeFile(file("auth.yaml"), AUTHENTICATION);
  await writeFile(file("bad-auth.yaml"), AUTHENTICATION.replace("https://", "http://"));
});

afterAll(async () => {
  for (const child of running) child.kill("SIGKILL");
  await cluster.close();
});

const file = (name: string) => join(cluster.folder, name);

function start(args: string[]): { child: ChildProcess; ended: Promise<{ code: number; log: string }> } {
  const child = spawn(process.execPath, [MAIN, ...args]);
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  running.add(child);
  const ended = once(child, "close").then(([code]) => {
    running.delete(child);
    return { code, log };
  });
  return { child, ended };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const listen = (name: string) => ["--listen", `unix:${file(name)}`];
const good = () => ["--cluster", "prod", "--authentication", file("auth.yaml"), "--kubeconfig", file("kubeconfig")];

describe("an identity proxy", () => {
  it("says where it listens when it has checked its own rights, serves lanes there, and stops in good order", async () => {
    const { child, ended } = start([...listen("good.sock"), ...good()]);
    const [line] = await once(createInterface(child.stdout ?? process.stdin), "line");
    expect(JSON.parse(line)).toEqual({ ready: true, pid: child.pid, address: `unix:${file("good.sock")}` });
    expect(cluster.seen.length).toBeGreaterThan(0);
    expect((await stat(file("good.sock"))).mode & 0o777).toBe(0o600);
    const client = new GrpcConnection(() => ({ path: file("good.sock") }));
    await new Requester(client).opened;
    client.close();
    child.kill("SIGTERM");
    const { code, log } = await ended;
    expect(code).toBe(0);
    expect(log).not.toContain("canary-7f3a");
  });

  it("counts an authentication configuration that cannot be used, and the one before goes on to count", async () => {
    const changed = file("changed-auth.yaml");
    await writeFile(changed, AUTHENTICATION);
    const authentication = ["--cluster", "prod", "--authentication", changed, "--kubeconfig", file("kubeconfig")];
    const port = await freePort();
    const { child, ended } = start([...listen("changed.sock"), ...authentication, "--private", `127.0.0.1:${port}`]);
    await once(createInterface(child.stdout ?? process.stdin), "line");
    const metrics = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(await metrics()).toMatch(/^fairlead_outdated_authentication_configurations 0$/m);
    await writeFile(changed, AUTHENTICATION.replace("sub", '""'));
    while (!/^fairlead_outdated_authentication_configurations 1$/m.test(await metrics())) await setTimeout(100);
    child.kill("SIGTERM");
    const { code, log } = await ended;
    expect(code).toBe(0);
    expect(log).toMatch(/changed-auth\.yaml: jwt\[0\]\.claimMappings\.username\.claim: a text is due/);
  });

  it("whose account may do more than impersonate does not start, and names the right", async () => {
    const before = resourceRules;
    resourceRules = [...before, { verbs: ["get", "list"], resources: ["secrets"] }];
    const { code, log } = await start([...listen("excess.sock"), ...good()]).ended;
    resourceRules = before;
    expect(code).toBe(1);
    expect(log).toMatch(/cannot start: identity proxy: the identity proxy's own account may get,list secrets/);
    await expect(stat(file("excess.sock"))).rejects.toThrow(/ENOENT/);
  });
});

describe("an identity proxy does not start", () => {
  const cases: [what: string, args: () => string[], says: RegExp][] = [
    ["without --listen", () => good(), /required option '--listen <address>'/],
    ["on a port without TLS", () => ["--listen", "127.0.0.1:0", ...good()], /only the agent may come in/],
    [
      "with an authentication file that is refused",
      () => [
        ...listen("a.sock"),
        "--cluster",
        "prod",
        "--authentication",
        file("bad-auth.yaml"),
        "--kubeconfig",
        file("kubeconfig"),
      ],
      /bad-auth\.yaml: jwt\[0\]\.issuer\.url: an https:\/\/ URL is due/,
    ],
    [
      "with a Service that is a pattern",
      () => [...listen("a.sock"), ...good(), "--service", "shop/web:80", "--service", "shop/*:80"],
      /--service .{1,2}shop\/\*:80.{1,2}: write NAMESPACE\/NAME:PORT/,
    ],
    ["with a context that is missing", () => [...listen("a.sock"), ...good(), "--context", "x"], /no current cluster/],
  ];
  let outcomes: { code: number; log: string }[];
  beforeAll(async () => {
    outcomes = await Promise.all(cases.map(([, args]) => start(args()).ended));
  });

  it.each(cases.map(([what, , says], i) => [what, says, i] as const))("%s", (_what, says, i) => {
    expect(outcomes[i]?.code).toBe(1);
    expect(outcomes[i]?.log).toMatch(says);
    expect(outcomes[i]?.log).not.toContain("canary-7f3a");
  });
});
