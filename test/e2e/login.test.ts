import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { decodeJwt } from "jose";
import { browse } from "../support/browse.ts";
import { Home } from "../support/home.ts";
import { hasKeychain, Keychain } from "../support/keychain.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { LoginProvider, MACHINES_CLIENT } from "../support/login-provider.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
const ROBOT = { email: MACHINES_CLIENT.id, groups: ["robots"] };
let provider: LoginProvider;
let own: TunnelToTestbed;
let home: Home;

beforeAll(async () => {
  provider = await LoginProvider.start([alice, ROBOT]);
  const entries = [provider.entry];
  own = await startTunnel(cluster.testbed, {
    moreIssuers: { relay: entries, identityProxy: entries },
    relayConfig: { login: provider.login },
  });
  const { tunnel } = own;
  await tunnel.cli(tunnel.administrator, "rules", "create", "robots", "--group", "robots", "--cluster", tunnel.cluster);
});
afterAll(async () => {
  await own?.stop();
  provider?.stop();
});
beforeEach(async () => {
  provider.comeBack();
  provider.lives.idToken = 3_600;
  home = await Home.make(cluster.testbed.dir);
  await writeFile(home.file("issuer-ca.crt"), provider.certificateAuthority);
});

/** What a login needs to be told on this machine: neither authority is the system's. */
const authorities = () => ["--relay-ca", own.tunnel.file("ca.crt"), "--issuer-ca", home.file("issuer-ca.crt")];
const loginArgs = (...more: string[]) => ["login", own.tunnel.relayUrl, ...authorities(), ...more];

/** Logs alice in by her browser. */
async function logIn(...more: string[]) {
  const login = home.start(loginArgs(...more));
  const url = await home.visited();
  const page = await browse(url, alice.email, provider.certificateAuthority);
  const { code } = await login.exited;
  return { code, page, url: new URL(url), stdout: login.stdout, stderr: login.stderr };
}

/** A proxy of one who is logged in, and kubectl through it. */
async function startProxy(port: number) {
  const file = home.file("kubeconfig");
  const proxy = home.start(["proxy", "testbed", "--file", file, "--output", "json", "--port", String(port)]);
  await proxy.waitForOutput(/"ready":true/);
  return { proxy, kubectl: kubectls(cluster).at(-1)?.kubectl.against(file) };
}

/** Changes what is kept of the login of the profile "prod". */
async function change(how: object): Promise<void> {
  const file = home.file(".local/state/fairlead/logins/prod.json");
  const { login } = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ login: { ...login, ...how } }));
}

describe("a login by the browser", () => {
  it("needs nothing but the relay's address, and says who one is", async () => {
    const { code, page, url, stdout } = await logIn();
    expect({ code, status: page.status, body: page.body }).toMatchObject({
      ...{ code: 0, status: 200 },
      body: expect.stringContaining("You are logged in"),
    });
    expect(stdout).toMatch(
      /^You are alice@example\.com at https:\/\/127\.0\.0\.1:\d+ \(profile 127\.0\.0\.1-\d+\), and may reach one cluster/,
    );
    const asked = Object.fromEntries(url.searchParams);
    expect(asked).toMatchObject({ response_type: "code", code_challenge_method: "S256", client_id: "fairlead" });
    for (const key of ["state", "nonce", "code_challenge"]) expect(asked[key]?.length).toBeGreaterThan(20);
    expect(asked.redirect_uri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/);
  });

  it("serves all commands after it, with neither relay nor token given", async () => {
    await logIn();
    expect(await home.run(["clusters", "--output", "json"])).toMatchObject({
      ...{ code: 0, stdout: expect.stringContaining('"testbed"') },
    });
    const who = JSON.parse((await home.run(["whoami", "--output", "json"])).stdout);
    expect(who).toMatchObject({ user: alice.email, groups: ["dev"], administrator: false, relay: own.tunnel.relayUrl });
  });

  it("leaves what it got in files that only the user can read, and the profile without a secret", async () => {
    await logIn();
    const logins = home.file(".local/state/fairlead/logins");
    const [name = ""] = (await readdir(logins)).filter((file) => file.endsWith(".json"));
    expect((await stat(join(logins, name))).mode & 0o777).toBe(0o600);
    const { login } = JSON.parse(await readFile(join(logins, name), "utf8"));
    expect(decodeJwt(login.token)).toMatchObject({ email: alice.email, aud: "fairlead" });
    const profiles = await readFile(home.file(".config/fairlead/config.yaml"), "utf8");
    expect(profiles).not.toContain(login.token);
    expect(profiles).not.toContain(login.refreshToken);
  });

  it("that the person turns down fails, says so and leaves nothing", async () => {
    const login = home.start(loginArgs());
    await browse(await home.visited(), undefined, provider.certificateAuthority);
    expect(await login.exited).toMatchObject({ code: 1 });
    expect(login.stderr).toMatch(/the issuer .* refuses: End-User aborted interaction \(access_denied\)/);
    expect(await readdir(home.folder)).not.toContain(".local");
    expect(await readdir(home.folder)).not.toContain(".config");
  });

  it("of somebody whom the relay does not know is not kept", async () => {
    const other = await LoginProvider.start([alice]);
    const issuer = ["--issuer", other.url, "--client-id", "fairlead", "--issuer-ca", home.file("other-ca.crt")];
    await writeFile(home.file("other-ca.crt"), other.certificateAuthority);
    const login = home.start(["login", own.tunnel.relayUrl, "--relay-ca", own.tunnel.file("ca.crt"), ...issuer]);
    await browse(await home.visited(), alice.email, other.certificateAuthority);
    expect(await login.exited).toMatchObject({ code: 1 });
    expect(login.stderr).toMatch(/relay: .*issuer/);
    expect(await home.run(["whoami"])).toMatchObject({ code: 1, stderr: expect.stringMatching(/which relay\?/) });
    other.stop();
  });

  it("says which certificate it cannot verify", async () => {
    const outcome = await home.run(["login", own.tunnel.relayUrl, "--relay-ca", own.tunnel.file("ca.crt")]);
    expect(outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/logging in at https:.*(certificate|CERT|SIGN)/i),
    });
  });
});

(hasKeychain ? describe : describe.skip)("a login where there is a keychain", () => {
  it("is sealed by it, and of no use without it", async () => {
    const keychain = await Keychain.start(cluster.testbed.dir);
    try {
      const login = home.start(loginArgs("--profile", "prod"), keychain.env);
      await browse(await home.visited(), alice.email, provider.certificateAuthority);
      expect(await login.exited).toMatchObject({ code: 0 });
      expect(login.stderr).not.toMatch(/There is no keychain/);
      const kept = await readFile(home.file(".local/state/fairlead/logins/prod.json"), "utf8");
      expect(Object.keys(JSON.parse(kept))).toEqual(["sealed"]);
      expect(await home.run(["whoami"], keychain.env)).toMatchObject({ code: 0 });
      expect(await home.run(["whoami"])).toMatchObject({
        ...{
          code: 1,
          stderr: expect.stringMatching(
            /it is sealed, and your keychain cannot be opened .*; run `fairlead login` again/,
          ),
        },
      });
    } finally {
      await keychain.stop();
    }
  });
});

describe("a login by device code", () => {
  it("shows an address and a code, and goes on when the person has entered it elsewhere", async () => {
    const login = home.start(loginArgs("--device"));
    await login.waitForOutput(/Waiting for you/);
    const [, address = ""] = /open:\n\s+(https:\S+)/.exec(login.stderr) ?? [];
    expect(login.stderr).toMatch(/this code.*\n\s+[A-Z]{4}-[A-Z]{4}/);
    await browse(address, alice.email, provider.certificateAuthority);
    expect(await login.exited).toMatchObject({ code: 0 });
    expect(await home.run(["whoami"])).toMatchObject({ code: 0, stdout: expect.stringContaining(alice.email) });
  });

  it("is what happens by itself where there is no browser", async () => {
    const login = home.start(loginArgs(), { BROWSER: "" });
    await login.waitForOutput(/Waiting for you/);
    expect(login.stderr).toMatch(/In a browser, open:/);
    await login.stop();
  });
});

describe("a login that is about to expire", () => {
  it("is renewed once by many commands at the same moment, with a refresh token that counts once", async () => {
    await logIn("--profile", "prod");
    const before = provider.grants.refresh_token ?? 0;
    await change({ obtainedAtMs: Date.now() - 24 * 3_600_000 }); // most of its life is over
    const all = await Promise.all(Array.from({ length: 6 }, () => home.run(["whoami", "--output", "json"])));
    expect(all.map(({ code, stderr }) => ({ code, stderr }))).toEqual(Array(6).fill({ code: 0, stderr: "" }));
    expect((provider.grants.refresh_token ?? 0) - before).toBe(1);
    await change({ obtainedAtMs: Date.now() - 24 * 3_600_000 });
    expect(await home.run(["whoami"])).toMatchObject({ code: 0 }); // by the refresh token that came with it
  });

  it("serves on while the issuer is away, and says what fails when it has expired", async () => {
    await logIn("--profile", "prod");
    await change({ obtainedAtMs: Date.now() - 24 * 3_600_000 });
    provider.goAway();
    expect(await home.run(["whoami"])).toMatchObject({ code: 0 });
    await change({ expiresAtMs: Date.now() });
    expect(await home.run(["whoami"])).toMatchObject({
      ...{ code: 1, stderr: expect.stringMatching(/logging in at https:.* failed/) },
    });
    provider.comeBack();
    expect(await home.run(["whoami"])).toMatchObject({ code: 0 });
  });

  it("that its issuer has ended says so, and how to log in again", async () => {
    await logIn("--profile", "prod");
    await change({ refreshToken: "of-nobody", expiresAtMs: Date.now() });
    expect(await home.run(["whoami"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/your login has ended: .*invalid_grant.*run `fairlead login --profile prod`/),
    });
  });
});

describe("kubectl through the proxy of one who logged in", () => {
  it("goes on when the first token has expired, watch and all", async () => {
    provider.lives.idToken = 12;
    await logIn();
    const { proxy, kubectl } = await startProxy(20123);
    const watch = kubectl?.start(["get", "configmaps", "-n", "default", "-w", "-o", "name"]);
    await watch?.waitForOutput(/kube-root-ca/);
    await new Promise((resolve) => setTimeout(resolve, 14_000)); // the first token has expired
    expect(await kubectl?.run(["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])).toMatchObject({
      ...{ code: 0, stdout: alice.email },
    });
    expect(watch?.hasExited).toBe(false);
    expect(provider.grants.refresh_token).toBeGreaterThan(0);
    await watch?.stop();
    await proxy.stop();
  });
});

describe("kubectl without a proxy, of one who logged in", () => {
  it("asks for the token by itself; many at once renew it once, and no window opens", async () => {
    await logIn("--profile", "prod");
    const file = home.file("direct.conf");
    await home.run(["kubeconfig", "testbed", "--direct", "--file", file]);
    const kubectl = kubectls(cluster).at(-1)?.kubectl.against(file);
    const get = () => kubectl?.run(["get", "namespaces", "-o", "name"], { env: home.env });
    expect(await get()).toMatchObject({ code: 0, stdout: expect.stringContaining("namespace/default") });
    await change({ obtainedAtMs: Date.now() - 24 * 3_600_000 });
    const before = provider.grants.refresh_token ?? 0;
    const all = await Promise.all(Array.from({ length: 5 }, get));
    expect(all.map((outcome) => outcome?.code)).toEqual(Array(5).fill(0));
    expect((provider.grants.refresh_token ?? 0) - before).toBe(1);
    await home.run(["logout"]);
    expect(await get()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/run `fairlead login --profile prod`/),
    });
  });
});

/** Logs the machine in. */
async function logMachineIn(...more: string[]) {
  await writeFile(home.file("secret"), MACHINES_CLIENT.secret, { mode: 0o600 });
  const machine = ["--issuer", provider.url, "--client-id", MACHINES_CLIENT.id, "--client-credentials"];
  return home.run(loginArgs(...machine, "--client-secret-file", home.file("secret"), ...more));
}

describe("a machine's login", () => {
  it("is by its own secret, which is left where it is", async () => {
    const outcome = await logMachineIn();
    expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining("You are robot@example.com") });
    expect(await readFile(home.file(".config/fairlead/config.yaml"), "utf8")).not.toContain(MACHINES_CLIENT.secret);
    expect(await home.run(["clusters"])).toMatchObject({ code: 0, stdout: expect.stringContaining("testbed") });
  });
});

describe("two logins at one relay", () => {
  afterEach(() => home.run(["proxy", "--stop"]));

  it("never lead through each other's proxy, though both are of the same cluster", async () => {
    await logIn("--profile", "person");
    await logMachineIn("--profile", "robot");
    const asks = async (context: string) => {
      const kubectl = kubectls(cluster).at(-1)?.kubectl.against(home.file(".kube/config"));
      return kubectl?.run(["--context", context, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    };
    for (const profile of ["person", "robot"]) {
      await home.run(["kubeconfig", "testbed", "--merge", "--profile", profile, "--context-name", profile]);
    }
    const serve = (profile: string) =>
      home.run(["proxy", "testbed", "--background", "--profile", profile, "--context-name", profile]);
    expect(await serve("person")).toMatchObject({ code: 0 });
    expect(await asks("person")).toMatchObject({ code: 0, stdout: alice.email });
    expect(await asks("robot")).toMatchObject({ code: 1, stderr: expect.stringContaining("refused") });
    expect(await serve("robot")).toMatchObject({ code: 0 });
    expect(await asks("robot")).toMatchObject({ code: 0, stdout: MACHINES_CLIENT.id });
    expect(await asks("person")).toMatchObject({ code: 0, stdout: alice.email });
  });
});

describe("a logout", () => {
  it("forgets the login, has the issuer take it back, and the next command says what to do", async () => {
    await logIn("--profile", "prod");
    const file = home.file(".local/state/fairlead/logins/prod.json");
    const { login } = JSON.parse(await readFile(file, "utf8"));
    expect(await home.run(["logout"])).toMatchObject({ code: 0, stdout: "You are logged out of prod.\n" });
    await expect(stat(file)).rejects.toThrow();
    expect(await home.run(["whoami"])).toMatchObject({
      ...{ code: 1, stderr: expect.stringMatching(/you are not logged in; run `fairlead login --profile prod`/) },
    });
    // What was stolen before is worth nothing after.
    await writeFile(file, JSON.stringify({ login: { ...login, expiresAtMs: Date.now() } }));
    expect(await home.run(["whoami"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/your login has ended/),
    });
  });

  it("is heard by a proxy that runs", async () => {
    await logIn();
    const { proxy, kubectl } = await startProxy(20124);
    expect(await kubectl?.run(["get", "namespaces"])).toMatchObject({ code: 0 });
    await home.run(["logout"]);
    expect(await kubectl?.run(["get", "namespaces"])).toMatchObject({
      ...{ code: 1, stderr: expect.stringMatching(/you are not logged in; run `fairlead login/) },
    });
    await proxy.stop();
  });
});

describe("a relay that names the client of another profile's relay", () => {
  it("is not logged in to without being told to", async () => {
    await logIn("--profile", "prod");
    const file = home.file(".config/fairlead/config.yaml");
    const before = await readFile(file, "utf8");
    await writeFile(file, before.replace(`relay: ${own.tunnel.relayUrl}`, "relay: https://relay.example.com"));
    expect(await home.run(loginArgs("--profile", "other"))).toMatchObject({
      ...{
        code: 1,
        stderr: expect.stringMatching(/which profile prod logs in with for https:\/\/relay\.example\.com/),
      },
    });
  });
});

describe("a relay that names another issuer than before", () => {
  it("is not followed without being told to", async () => {
    await logIn("--profile", "prod");
    const file = home.file(".config/fairlead/config.yaml");
    const before = await readFile(file, "utf8");
    await writeFile(file, before.replace(`issuer: ${provider.url}`, "issuer: https://login.example.com"));
    expect(await home.run(["login"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /it now names another issuer to log in at: .* instead of https:\/\/login\.example\.com/,
      ),
    });
  });
});
