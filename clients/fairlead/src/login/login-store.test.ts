import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type KeptLogin, LoginStore } from "./login-store.ts";

const CANARY = "canary-51ab";
const LOGIN: KeptLogin = {
  ...{ relay: "https://relay.example.com", by: "openid", token: `${CANARY}-token`, refreshToken: `${CANARY}-refresh` },
  ...{ obtainedAtMs: 1, expiresAtMs: 2 },
};
let folder: string;
const before = { ...process.env };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  process.env.XDG_STATE_HOME = folder;
  process.env.FAIRLEAD_KEYCHAIN = "off";
});
afterEach(async () => {
  process.env = { ...before };
  await rm(folder, { recursive: true });
});

const fileOf = (profile: string) => join(folder, "fairlead", "logins", `${profile}.json`);

describe("a login that is kept without a keychain", () => {
  it("is read as it was written, from a file that only this user can read", async () => {
    const store = new LoginStore("prod");
    expect(await store.write(LOGIN)).toBe("file");
    expect(await store.read()).toEqual(LOGIN);
    expect((await stat(fileOf("prod"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "fairlead", "logins"))).mode & 0o777).toBe(0o700);
  });

  it("has a version that changes with it", async () => {
    const store = new LoginStore("prod");
    expect(store.version).toBeUndefined();
    await store.write(LOGIN);
    const first = store.version;
    await store.write(LOGIN);
    expect(store.version).not.toBe(first);
    await store.remove();
    expect(store.version).toBeUndefined();
    expect(await store.read()).toBeUndefined();
  });

  it("is its profile's alone", async () => {
    await new LoginStore("prod").write(LOGIN);
    expect(await new LoginStore("test").read()).toBeUndefined();
    expect(await readdir(join(folder, "fairlead", "logins"))).toEqual(["prod.json"]);
  });

  it.each([
    ["no JSON", "{"],
    ["another thing", '"x"'],
    ["nothing", "{}"],
    ["null", "null"],
    ["no token", JSON.stringify({ login: { ...LOGIN, token: undefined } })],
    ["no end", JSON.stringify({ login: { ...LOGIN, expiresAtMs: "tomorrow" } })],
    ["no way that it was got by", JSON.stringify({ login: { ...LOGIN, by: undefined } })],
    ["something sealed, with no keychain to open it", JSON.stringify({ sealed: "AAAA" })],
  ])("is refused if there is %s, with what to do and without what is in it", async (_what, text) => {
    const store = new LoginStore("prod");
    await store.write(LOGIN);
    await writeFile(fileOf("prod"), text);
    await expect(store.read()).rejects.toThrow(/your kept login cannot be used: .*run `fairlead login` again/);
    await expect(store.read()).rejects.not.toThrow(new RegExp(CANARY));
  });

  it("is not put in the place of one that is sealed: nothing is unsealed by itself", async () => {
    const store = new LoginStore("prod");
    await store.write(LOGIN);
    await writeFile(fileOf("prod"), JSON.stringify({ sealed: "AAAA" }));
    await expect(store.write(LOGIN)).rejects.toThrow(
      /it is sealed, and your keychain cannot be opened .*FAIRLEAD_KEYCHAIN=off/,
    );
    await store.remove();
    expect(await store.write(LOGIN)).toBe("file");
  });

  it("is nowhere but in its file", async () => {
    await new LoginStore("prod").exclusively(() => new LoginStore("prod").write(LOGIN));
    const names = await readdir(join(folder, "fairlead", "logins"));
    for (const name of names.filter((each) => each !== "prod.json")) {
      expect(await readFile(join(folder, "fairlead", "logins", name), "utf8")).not.toContain(CANARY);
    }
  });
});
