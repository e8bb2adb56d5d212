import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { stringify } from "yaml";
import { readRelayConfig } from "./config.ts";
import { DEFAULT_LIMITS } from "./limits/limits.ts";

const GOOD = {
  listen: "0.0.0.0:8443",
  tls: { certFile: "tls.crt", keyFile: "/etc/relay/tls.key" },
  database: "data/relay.sqlite",
  authentication: "authentication.yaml",
  administrators: { users: ["root@example.com"], groups: ["admins"] },
};

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
});

afterEach(() => rm(folder, { recursive: true }));

async function read(text: string) {
  const file = join(folder, "relay.yaml");
  await writeFile(file, text);
  return readRelayConfig(file);
}

describe("the relay's configuration", () => {
  it.each([
    [undefined, { enabled: true, domain: undefined, port: undefined }],
    [{ enabled: false }, { enabled: false, domain: undefined, port: undefined }],
    [{ domain: "Clusters.example.com" }, { enabled: true, domain: "clusters.example.com", port: undefined }],
    [{ domain: "k8s:8443" }, { enabled: true, domain: "k8s", port: 8443 }],
  ])("with direct %j serves clusters at %j", async (direct, means) => {
    expect((await read(stringify({ ...GOOD, direct }))).direct).toEqual(means);
  });

  it("has the oldest versions that are supported, each a version", async () => {
    const oldestVersions = { agent: "0.2.0" };
    expect(await read(stringify({ ...GOOD, oldestVersions }))).toMatchObject({
      oldestVersions: { client: "", agent: "0.2.0" },
    });
    const wrong = stringify({ ...GOOD, oldestVersions: { client: 0.2 } });
    await expect(read(wrong)).rejects.toThrow("oldestVersions.client: a version such as 0.1.0 is due");
  });

  it("is read, with paths that are relative to its own folder", async () => {
    expect(await read(stringify(GOOD))).toEqual({
      listen: { host: "0.0.0.0", port: 8443 },
      tls: { certFile: join(folder, "tls.crt"), keyFile: "/etc/relay/tls.key" },
      database: { kind: "sqlite", file: join(folder, "data/relay.sqlite") },
      authentication: join(folder, "authentication.yaml"),
      administrators: { users: ["root@example.com"], groups: ["admins"] },
      agents: {
        authority: {
          certFile: join(folder, "data/relay.sqlite-agents.crt"),
          keyFile: join(folder, "data/relay.sqlite-agents.key"),
        },
        certificateLifetimeMs: 86_400_000,
      },
      webhook: undefined,
      limits: DEFAULT_LIMITS,
      oldestVersions: { client: "", agent: "" },
      login: undefined,
      direct: { enabled: true, domain: undefined, port: undefined },
    });
  });

  it("has how people get a token, with scopes that most providers know", async () => {
    const login = { issuer: "https://login.example.com", clientId: "fairlead" };
    const scopes = ["openid", "profile", "email", "offline_access"];
    expect(await read(stringify({ ...GOOD, login }))).toMatchObject({ login: { ...login, scopes, resource: "" } });
    const own = { ...login, scopes: ["openid"], resource: "api://fairlead" };
    expect(await read(stringify({ ...GOOD, login: own }))).toMatchObject({ login: own });
  });

  it.each([
    ["an issuer without TLS", { issuer: "http://login.example.com", clientId: "x" }, /login\.issuer: an https/],
    ["no client", { issuer: "https://login.example.com" }, /login\.clientId: a text is due/],
    ["scopes that are no list", { issuer: "https://a.example", clientId: "x", scopes: "openid" }, /login\.scopes/],
    ["a secret", { issuer: "https://a.example", clientId: "x", clientSecret: "y" }, /login\.clientSecret: not a key/],
  ])("with a login that has %s stops the start", async (_what, login, says) => {
    await expect(read(stringify({ ...GOOD, login }))).rejects.toThrow(says);
  });

  it("may have an authority for agents of its own, and a shorter life of their certificates", async () => {
    const agents = { certFile: "a.crt", keyFile: "/etc/a.key", certificateSeconds: 600 };
    expect((await read(stringify({ ...GOOD, agents }))).agents).toEqual({
      authority: { certFile: join(folder, "a.crt"), keyFile: "/etc/a.key" },
      certificateLifetimeMs: 600_000,
    });
  });

  it("may keep what it keeps in PostgreSQL, whose URL is in a file of its own", async () => {
    const agents = { certFile: "a.crt", keyFile: "a.key" };
    const { database } = await read(stringify({ ...GOOD, database: { urlFile: "url" }, agents }));
    expect(database).toEqual({ kind: "postgresql", urlFile: join(folder, "url") });
  });

  it("may tell somebody of changes", async () => {
    const webhook = { url: "https://hooks.example.com/fairlead", secretFile: "hook" };
    expect((await read(stringify({ ...GOOD, webhook }))).webhook).toEqual({
      ...webhook,
      secretFile: join(folder, "hook"),
    });
  });

  it("may set some limits, or all: the others are the defaults", async () => {
    const some = { exchangesPerUser: 7, newExchangesPerUserPerSecond: 1_000 };
    expect((await read(stringify({ ...GOOD, limits: some }))).limits).toEqual({ ...DEFAULT_LIMITS, ...some });
    const all = {
      exchangesPerUser: 1,
      exchangesPerCluster: 5_000,
      exchangesPerRelay: 3,
      newExchangesPerUserPerSecond: 1,
      newExchangesPerUserBurst: 1,
    };
    expect((await read(stringify({ ...GOOD, limits: all }))).limits).toEqual(all);
    expect((await read(stringify({ ...GOOD, limits: {} }))).limits).toEqual(DEFAULT_LIMITS);
  });

  it.each([
    ["no administrators", {}],
    ["no administrator", { administrators: {} }],
    ["empty lists", { administrators: { users: [], groups: [] } }],
  ])("may name %s: then nobody is one", async (_what, administrators) => {
    const { administrators: _good, ...rest } = GOOD;
    expect((await read(stringify({ ...rest, ...administrators }))).administrators).toEqual({ users: [], groups: [] });
  });

  it.each<[what: string, change: object, names: string]>([
    ["an unknown key", { loglevel: "debug" }, "the file\\.loglevel: not a key \\(known: listen"],
    ["no listen", { listen: undefined }, "listen: a text"],
    ["a listen that is a number", { listen: 8443 }, "listen: a text"],
    ["a listen without port", { listen: "0.0.0.0" }, "listen: .*HOST:PORT"],
    ["a port that is none", { listen: "0.0.0.0:99999" }, "listen: .*HOST:PORT"],
    ["no tls", { tls: undefined }, "tls: a mapping"],
    ["tls that is a text", { tls: "off" }, "tls: a mapping"],
    ["no certificate", { tls: { keyFile: "k" } }, "tls\\.certFile: a text"],
    ["no key", { tls: { certFile: "c" } }, "tls\\.keyFile: a text"],
    ["an empty key", { tls: { certFile: "c", keyFile: "" } }, "tls\\.keyFile: a text"],
    ["an unknown key of tls", { tls: { ...GOOD.tls, insecure: true } }, "tls\\.insecure: not a key"],
    ["no database", { database: undefined }, "database: a text"],
    ["a database that is a list", { database: [] }, "database: a mapping"],
    ["a database without its URL's file", { database: {} }, "database.urlFile: a text"],
    [
      "PostgreSQL without the agents' authority",
      { database: { urlFile: "url" } },
      "agents: certFile and keyFile are due",
    ],
    ["no authentication", { authentication: undefined }, "authentication: a text"],
    ["administrators that are a list", { administrators: ["root"] }, "administrators: a mapping"],
    ["administrators by a misspelt key", { administrators: { user: ["root"] } }, "administrators\\.user: not a key"],
    ["users that are a text", { administrators: { users: "root" } }, "administrators\\.users: a list"],
    ["a user that is empty", { administrators: { users: [""] } }, "administrators\\.users: a text"],
    ["an authority without key", { agents: { certFile: "a" } }, "agents: certFile and keyFile go together"],
    ["a key without authority", { agents: { keyFile: "a" } }, "agents: certFile and keyFile go together"],
    ["agents by a misspelt key", { agents: { seconds: 1 } }, "agents\\.seconds: not a key"],
    [
      "a certificate of two days",
      { agents: { certificateSeconds: 172_800 } },
      "agents\\.certificateSeconds: a number from",
    ],
    ["a certificate of no time", { agents: { certificateSeconds: 4 } }, "agents\\.certificateSeconds: a number from"],
    ["half a second", { agents: { certificateSeconds: 5.5 } }, "agents\\.certificateSeconds: a number from"],
    ["seconds in quotes", { agents: { certificateSeconds: "600" } }, "agents\\.certificateSeconds: a number from"],
    ["a webhook over plain HTTP", { webhook: { url: "http://a.example", secretFile: "s" } }, "webhook\\.url: an https"],
    ["a webhook that is no address", { webhook: { url: "a", secretFile: "s" } }, "webhook\\.url: an https"],
    ["a webhook without secret", { webhook: { url: "https://a.example" } }, "webhook\\.secretFile: a text"],
    ["limits that are a number", { limits: 100 }, "limits: a mapping"],
    [
      "an unknown limit",
      { limits: { exchangesPerDay: 1 } },
      "limits\\.exchangesPerDay: not a key \\(known: exchangesPerU",
    ],
    ["a limit of zero", { limits: { exchangesPerUser: 0 } }, "limits\\.exchangesPerUser: a whole number from 1 on"],
    ["a negative limit", { limits: { exchangesPerRelay: -1 } }, "limits\\.exchangesPerRelay: a whole number from 1 on"],
    ["a limit without a value", { limits: { exchangesPerUser: null } }, "limits\\.exchangesPerUser: a whole number"],
    ["half an exchange", { limits: { exchangesPerUser: 1.5 } }, "limits\\.exchangesPerUser: a whole number"],
    ["a limit that is a text", { limits: { exchangesPerUser: "many" } }, "limits\\.exchangesPerUser: a whole number"],
    ["a number in quotes", { limits: { exchangesPerUser: "500" } }, "limits\\.exchangesPerUser: a whole number"],
    ["a limit without end", { limits: { exchangesPerUser: Infinity } }, "limits\\.exchangesPerUser: a whole number"],
    ["a limit that is no number", { limits: { exchangesPerUser: NaN } }, "limits\\.exchangesPerUser: a whole number"],
    ["a limit beyond exact numbers", { limits: { exchangesPerRelay: 2 ** 53 } }, "limits\\.exchangesPerRelay: a whole"],
    [
      "more for a cluster than its agent has lanes",
      { limits: { exchangesPerCluster: 5_001 } },
      "limits\\.exchangesPerCluster: a whole number from 1 to 5000",
    ],
    [
      "a rate of zero",
      { limits: { newExchangesPerUserPerSecond: 0 } },
      "limits\\.newExchangesPerUserPerSecond: a whole",
    ],
    [
      "a burst of zero",
      { limits: { newExchangesPerUserBurst: 0 } },
      "limits\\.newExchangesPerUserBurst: a whole number",
    ],
    [
      "a burst below a second's rate",
      { limits: { newExchangesPerUserPerSecond: 100, newExchangesPerUserBurst: 99 } },
      "limits\\.newExchangesPerUserBurst: at least limits\\.newExchangesPerUserPerSecond \\(100\\)",
    ],
    ["a direct endpoint that is perhaps on", { direct: { enabled: "yes" } }, "direct\\.enabled: true or false"],
    ["an address for a domain", { direct: { domain: "https://example.com" } }, "direct\\.domain: a domain"],
    ["a domain with a path", { direct: { domain: "example.com/x" } }, "direct\\.domain: a domain"],
    ["a domain with a wildcard", { direct: { domain: "*.example.com" } }, "direct\\.domain: a domain"],
    ["a domain with a port that is none", { direct: { domain: "example.com:65536" } }, "direct\\.domain: a domain"],
    ["a domain too long for a name before it", { direct: { domain: `${"a.".repeat(100)}b` } }, "direct\\.domain: a"],
    ["a key of direct that is none", { direct: { url: "x" } }, "direct\\.url: not a key"],
    ["groups with a number", { administrators: { groups: [7] } }, "administrators\\.groups: a text"],
  ])("with %s is refused, and the key is named", async (_what, change, names) => {
    await expect(read(stringify({ ...GOOD, ...change }))).rejects.toThrow(new RegExp(`relay\\.yaml: ${names}`));
  });

  it.each([
    ["nothing", ""],
    ["a list", "- a"],
    ["no YAML", "listen: ["],
    ["a key twice", "listen: a\nlisten: b"],
  ])("that is %s is refused, and the file is named", async (_what, text) => {
    await expect(read(text)).rejects.toThrow(/relay\.yaml: /);
  });

  it("that is not there is refused, and the file is named", async () => {
    await expect(readRelayConfig(join(folder, "missing.yaml"))).rejects.toThrow(/missing\.yaml: .*ENOENT/);
  });
});
