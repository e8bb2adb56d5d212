import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ProofKey } from "@fairlead/authentication";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { type RawAnswer, rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
const PAST = { exp: Math.floor(Date.now() / 1000) - 3600, iat: Math.floor(Date.now() / 1000) - 7200 };
/** All that was sent and is nobody else's business, and all that was said to somebody. */
const secrets: string[] = [];
const said: string[] = [];
let issuer: SigningIssuer;
let relayOnly: SigningIssuer; // known to the relay alone
let own: TunnelToTestbed;
let key: ProofKey;

beforeAll(async () => {
  process.env.FAIRLEAD_LOG_LEVEL = "trace";
  [issuer, relayOnly] = await Promise.all([SigningIssuer.start(), SigningIssuer.start()]);
  const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
  key = await ProofKey.fromPem(String(pem));
  const keyFile = join(cluster.testbed.dir, "canary-key.pem");
  await writeFile(keyFile, pem, { mode: 0o600 });
  const entry = issuer.entry(["fairlead"]);
  own = await startTunnel(cluster.testbed, {
    moreIssuers: { relay: [entry, relayOnly.entry(["fairlead"])], identityProxy: [entry] },
    args: (process) => (process === "client proxy" ? ["--dpop-key", keyFile] : []),
  });
  const kubeconfig = await readFile(own.tunnel.kubeconfig, "utf8");
  secrets.push(await readFile(own.tunnel.file("join-token"), "utf8"), /token: (\S+)/.exec(kubeconfig)?.[1] ?? "");
  const state = JSON.parse(await readFile(join(own.tunnel.file("agent"), "agent.json"), "utf8"));
  secrets.push(state.key.split("\n")[1]);
});
afterAll(async () => {
  await own.stop();
  for (const one of [issuer, relayOnly]) one.stop();
});

async function useToken(token: string): Promise<void> {
  secrets.push(token);
  await writeFile(own.tunnel.tokenFile(alice), token);
}

async function request(path: string, headers: readonly string[] = []): Promise<RawAnswer> {
  const answer = await rawRequest(own.tunnel.kubeconfig, path, headers);
  said.push(JSON.stringify(answer));
  return answer;
}

describe("a token that is sent through everything", () => {
  it.each([
    ["bound to no key", async () => issuer.token()],
    ["bound to a key", async () => issuer.token({ cnf: { jkt: key.thumbprint } })],
  ])("succeeds first, by get, watch and exec: %s", async (_what, token) => {
    await useToken(await token());
    expect((await request("/version")).status).toBe(200);
    for (const { kubectl } of cluster.testbed.hasNode ? streamingKubectls(cluster).slice(-2) : []) {
      const through = kubectl.against(own.tunnel.kubeconfig);
      expect((await through.run(["exec", "p1", "--", "echo", "aye"])).stdout).toBe("aye\n");
    }
    const [row] = streamingKubectls(cluster);
    await row?.kubectl.against(own.tunnel.kubeconfig).run(["get", "pods", "-w", "--request-timeout=1s"]);
  });

  const refused: [what: string, token: () => Promise<string>][] = [
    ["expired", async () => issuer.token(PAST)],
    ["of a wrong audience", async () => issuer.token({ aud: "another" })],
    ["of an issuer that the relay alone knows", async () => relayOnly.token()],
    ["bound to another key", async () => issuer.token({ cnf: { jkt: randomBytes(32).toString("base64url") } })],
    ["of a system: user", async () => issuer.token({ email: "system:admin" })],
    ["no token at all", async () => randomBytes(48).toString("base64url")],
    ["a token that is cut", async () => (await issuer.token()).slice(0, -20)],
  ];

  it.each(refused)("is refused then: %s", async (_what, token) => {
    await useToken(await token());
    expect((await request("/version")).status).toBe(401);
  });

  it("meets other faults: at the command line, by a header, by a hop that is down", async () => {
    said.push(await own.tunnel.cli(alice, "clusters").catch((error: Error) => error.message));
    await useToken(await issuer.token());
    said.push(await own.tunnel.cli(alice, "clusters"));
    expect((await request("/version", ["Impersonate-User", "root"])).status).toBe(403);
    await own.tunnel.processes["identity proxy"].end("SIGKILL");
    expect((await request("/version")).status).toBeGreaterThanOrEqual(502);
    await own.tunnel.startProcess("identity proxy");
  });

  it("is in no log at the most talkative level, not even a part, in no metric and in no answer", async () => {
    for (const url of Object.values(own.tunnel.privateUrls)) said.push(await (await fetch(`${url}/metrics`)).text());
    const logs = (await readdir(own.tunnel.file("."))).filter((name) => name.endsWith(".log"));
    expect(logs).toHaveLength(4);
    for (const name of logs) said.push(await readFile(own.tunnel.file(name), "utf8"));
    const all = said.join("\n");
    expect(all).toMatch(/"msg":"exchange"/); // the relay does say something
    expect(all).toMatch(/fairlead_exchanges/);
    expect(secrets.length).toBeGreaterThan(10);
    for (const secret of secrets) {
      // A token's last part is its signature; the first two can be read by anybody, but name the person.
      for (const part of secret.split(".").map((one) => one.slice(0, 40))) expect(all).not.toContain(part);
    }
    expect(all).not.toMatch(/eyJ[\w-]{10,}\.eyJ/); // proofs
  });
});
