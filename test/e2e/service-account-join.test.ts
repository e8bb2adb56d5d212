import { readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { TunnelProcess } from "@fairlead/demo";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { eventually } from "../support/eventually.ts";
import { createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin } = await setScene();
/** The test bed's apiserver's --service-account-issuer. */
const ISSUER = "https://kubernetes.default.svc";
/** The shortest life of an agent's certificate. */
const CERTIFICATE_SECONDS = 5;
const NAME = "harbour";
const require = createRequire(import.meta.url);

let own: TunnelToTestbed;
let namespace: string;
let audience: string;
let agent: TunnelProcess;
const file = (name: string) => own.tunnel.file(name);
const administrate = (...args: string[]) => own.tunnel.cli(own.tunnel.administrator, ...args);
const registered = () => ["--join-service-account", `${namespace}/agent`, "--join-issuer", ISSUER];

/** A token that the apiserver makes for an account, as kubelet asks for it, in the agent's file. */
async function useToken(account: string, audiences: string[], expirationSeconds = 600): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
  const made = await admin.create(path, { spec: { audiences, expirationSeconds } });
  await writeFile(file("service-account-token"), Object(made).status.token, { mode: 0o600 });
}

async function untilStateIs(state: string): Promise<void> {
  const now = async () => {
    const clusters: { name: string; state: string }[] = JSON.parse(await administrate("clusters", "--output", "json"));
    return clusters.find(({ name }) => name === NAME)?.state === state;
  };
  await eventually(now, { what: `${NAME} to be ${state}`, timeoutMs: 60_000 });
}

beforeAll(async () => {
  own = await startTunnel(cluster.testbed, { relayConfig: { agents: { certificateSeconds: CERTIFICATE_SECONDS } } });
  namespace = await createNamespace(admin);
  for (const name of ["agent", "other"]) {
    await admin.create(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } });
  }
  await writeFile(file("jwks.json"), JSON.stringify(await admin.get("/openid/v1/jwks")));
  const create = ["clusters", "create", NAME, ...registered(), "--join-jwks", file("jwks.json")];
  audience = (await administrate(...create)).trim();
  agent = new TunnelProcess({
    name: "agent with a service account",
    main: require.resolve("@fairlead/agent/main"),
    args: () => [
      ...["--relay", own.tunnel.relayUrl, "--relay-ca", file("ca.crt"), "--state-folder", file("harbour")],
      ...["--join-service-account-token-file", file("service-account-token")],
      ...["--kubeconfig", own.tunnel.impersonatorKubeconfig, "--cluster", NAME, "--grace", "1"],
      ...["--authentication", file("identity-proxy-authentication.yaml")],
    ],
    logFile: file("harbour.log"),
  });
});

afterEach(() => agent.end());
afterAll(() => own.stop());

describe("an agent that joins by a real apiserver's token", () => {
  it("is told the audience that is due", () => {
    expect(audience).toBe(`${own.tunnel.relayUrl}/clusters/${NAME}`);
  });

  it.each<[what: string, account: string, audiences: () => string[], says: RegExp]>([
    ["another account's", "other", () => [audience], /its subject is not system:serviceaccount:\S+:agent/],
    ["for the apiserver", "agent", () => [ISSUER], /no cluster is registered here with its audience/],
    ["for another relay", "agent", () => [`https://other/clusters/${NAME}`], /no cluster is registered here/],
    ["for another cluster", "agent", () => [audience.replace(NAME, "testbed")], /no cluster is registered here/],
    ["for the apiserver too", "agent", () => [audience, ISSUER], /it is not for one audience alone/],
  ])(
    "is refused with a token that is %s, and joins by a good one in its file then",
    async (_what, account, wrong, says) => {
      await Promise.all(["harbour", "harbour.log"].map((name) => rm(file(name), { recursive: true, force: true })));
      await useToken(account, wrong());
      await agent.start();
      const log = () => readFile(file("harbour.log"), "utf8");
      await eventually(async () => says.test(await log()), { what: `the log to say ${says}`, timeoutMs: 30_000 });
      expect(await log()).not.toContain((await readFile(file("service-account-token"), "utf8")).split(".")[2]);
      await useToken("agent", [audience]);
      await untilStateIs("Connected");
    },
    120_000,
  );

  it("comes back by itself when its certificate has expired, and when its state is lost", async () => {
    await useToken("agent", [audience]);
    await agent.start();
    await untilStateIs("Connected");
    await agent.end();
    await untilStateIs("Expired");
    await agent.start();
    await untilStateIs("Connected");
    await agent.end();
    await rm(join(file("harbour"), "agent.json"));
    await agent.start();
    await untilStateIs("Connected");
  }, 120_000);

  it("does not join any more when that was ended, and goes on while its certificate is renewed", async () => {
    await useToken("agent", [audience]);
    await agent.start();
    await untilStateIs("Connected");
    await administrate("clusters", "join-service-account", NAME, "--none");
    await new Promise((resolve) => setTimeout(resolve, 2 * CERTIFICATE_SECONDS * 1_000));
    await untilStateIs("Connected");
    await agent.end();
    await rm(join(file("harbour"), "agent.json"));
    await agent.start();
    const log = () => readFile(file("harbour.log"), "utf8");
    await eventually(async () => /no cluster is registered here/.test(await log()), { what: "a refusal" });
    await untilStateIs("Expired");
  }, 120_000);
});
