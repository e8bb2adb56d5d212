import { hash, X509Certificate } from "node:crypto";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expiryOf } from "@fairlead/certificates";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { localIdentity } from "./local-identity.ts";

const DAY_MS = 24 * 60 * 60_000;
const at = (address: string, account = "the login of work") => ({
  url: new URL(address),
  account: () => Promise.resolve(account),
});
const RELAY = at("https://relay.example.com");
let state: string;
const before = process.env.XDG_STATE_HOME;

beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  process.env.XDG_STATE_HOME = state;
});

afterEach(async () => {
  jest.restoreAllMocks();
  await rm(state, { recursive: true });
  if (before === undefined) delete process.env.XDG_STATE_HOME;
  else process.env.XDG_STATE_HOME = before;
});

const FOLDER = ["relay.example.com", hash("sha256", "the login of work").slice(0, 16)];
const fileOf = (cluster: string) => join(state, "fairlead", "proxies", ...FOLDER, `${cluster}.json`);
const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

describe("the local proxy's identity", () => {
  it("is made at the first start: a port, a random token, a certificate for loopback", async () => {
    const identity = await localIdentity(RELAY, "prod");
    expect(identity.port).toBeGreaterThanOrEqual(20_000);
    expect(identity.port).toBeLessThan(30_000);
    expect(identity.localToken).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const certificate = new X509Certificate(identity.cert);
    expect(certificate.subjectAltName).toBe("IP Address:127.0.0.1, DNS:localhost");
    expect(certificate.ca).toBe(false);
    expect(Math.abs(certificate.validToDate.getTime() - Date.now() - 365 * DAY_MS)).toBeLessThan(60_000);
  });

  it("is for this user only: the file is 0600, its folders 0700", async () => {
    await localIdentity(RELAY, "prod");
    expect(await mode(fileOf("prod"))).toBe("600");
    for (const path of [["fairlead"], ["fairlead", "proxies"], ["fairlead", "proxies", ...FOLDER]]) {
      expect(await mode(join(state, ...path))).toBe("700");
    }
  });

  it("is the same at each start: kubectl keeps its discovery cache by host and port", async () => {
    const first = await localIdentity(RELAY, "prod");
    expect(await localIdentity(RELAY, "prod")).toEqual(first);
    expect(await localIdentity(at("https://relay.example.com/"), "prod")).toEqual(first);
  });

  it("has the same port when its file was lost", async () => {
    const first = await localIdentity(RELAY, "prod");
    await rm(fileOf("prod"));
    const second = await localIdentity(RELAY, "prod");
    expect(second.port).toBe(first.port);
    expect(second.localToken).not.toBe(first.localToken);
  });

  it("has a port that no other cluster has, of however many", async () => {
    const names = Array.from({ length: 300 }, (_, i) => `cluster-${i}`);
    const all = await Promise.all(names.map((name) => localIdentity(RELAY, name)));
    expect(new Set(all.map(({ port }) => port)).size).toBe(300);
  });

  it("is made once, also when two ask for the first time at the same moment", async () => {
    const [first, second] = await Promise.all([localIdentity(RELAY, "prod"), localIdentity(RELAY, "prod")]);
    expect(second).toEqual(first);
  });

  it("is another for each cluster, relay and account, in a file of its own", async () => {
    const identities = [
      await localIdentity(RELAY, "prod"),
      await localIdentity(RELAY, "staging"),
      await localIdentity(at("https://relay.example.com:8443"), "prod"),
      await localIdentity(at("https://other.example.com"), "prod"),
      await localIdentity(at("https://relay.example.com", "the login of admin"), "prod"),
      await localIdentity(at("https://relay.example.com", ""), "prod"),
    ];
    for (const key of ["port", "localToken", "cert", "key"] as const) {
      expect(new Set(identities.map((identity) => identity[key])).size).toBe(6);
    }
    const relays = (await readdir(join(state, "fairlead", "proxies"))).sort();
    expect(relays).toEqual([
      ...["lock", "other.example.com", "ports.json", "relay.example.com", "relay.example.com_8443"],
    ]);
  });

  it.each([
    ["a day more than 30", 334, true],
    ["a day less than 30", 336, false],
    ["none: it has expired", 400, false],
  ])("whose certificate has %s left is kept: %#", async (_what, days, kept) => {
    const first = await localIdentity(RELAY, "prod");
    const now = Date.now() + days * DAY_MS;
    jest.spyOn(Date, "now").mockReturnValue(now);
    const second = await localIdentity(RELAY, "prod");
    expect(second.cert === first.cert).toBe(kept);
    expect(expiryOf(second.cert).getTime() - now).toBeGreaterThan(29 * DAY_MS);
    expect([second.port, second.localToken]).toEqual([first.port, first.localToken]); // kubeconfigs go on working
    expect(await localIdentity(RELAY, "prod")).toEqual(second);
  });

  it.each([
    ["empty", ""],
    ["cut", '{"port": 20001, "localTo'],
    ["no JSON", "hello"],
    ["null", "null"],
    ["a number", "7"],
    ["a list", "[]"],
    ["an empty mapping", "{}"],
    ["without certificate", '{"port":20001,"localToken":"x","key":"k"}'],
    ["with a certificate that is none", '{"port":20001,"localToken":"x","cert":"none","key":"k"}'],
    ["with an empty token, which every request would have", '{"port":20001,"localToken":"","cert":"c","key":"k"}'],
    ["with a port that is a text", '{"port":"20001","localToken":"x","cert":"c","key":"k"}'],
  ])("whose file is %s is made anew", async (_what, text) => {
    const { port } = await localIdentity(RELAY, "prod");
    await writeFile(fileOf("prod"), text);
    const identity = await localIdentity(RELAY, "prod");
    expect(new X509Certificate(identity.cert).subject).toBe("CN=fairlead proxy prod");
    expect(identity.localToken).not.toBe("");
    expect([port, 20_001]).toContain(identity.port);
    expect(await localIdentity(RELAY, "prod")).toEqual(identity);
  });
});
