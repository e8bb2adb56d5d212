import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ErrorCode } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import {
  changeProfiles,
  checkProfileName,
  profileNameFor,
  profilesFile,
  readProfiles,
  selectedProfile,
} from "./profiles-file.ts";

let folder: string;
const before = { ...process.env };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  process.env.XDG_CONFIG_HOME = join(folder, "config");
  process.env.XDG_STATE_HOME = join(folder, "state");
});
afterEach(async () => {
  process.env = { ...before };
  await rm(folder, { recursive: true });
});

async function write(text: string): Promise<void> {
  await mkdir(dirname(profilesFile()), { recursive: true });
  await writeFile(profilesFile(), text);
}

const LOGIN = { kind: "openid" as const, issuer: "https://login.example.com", clientId: "x", scopes: ["openid"] };
const TWO = {
  current: "prod",
  profiles: {
    prod: { relay: "https://prod.example.com", login: LOGIN },
    test: { relay: "https://test.example.com:8443" },
  },
};

describe("the user's profiles", () => {
  it("are none where there is no file, or an empty one", async () => {
    expect(readProfiles()).toEqual({ profiles: {} });
    await write("");
    expect(readProfiles()).toEqual({ profiles: {} });
  });

  it("are read as they were written, by this user alone", async () => {
    await changeProfiles(() => TWO);
    expect(readProfiles()).toEqual(TWO);
    expect((await stat(profilesFile())).mode & 0o777).toBe(0o600);
  });

  it("are changed by many at once, and nobody's change is lost", async () => {
    const add = (i: number) =>
      changeProfiles(({ profiles }) => ({
        profiles: { ...profiles, [`p${i}`]: { relay: `https://r${i}.example.com` } },
      }));
    await Promise.all(Array.from({ length: 10 }, (_, i) => add(i)));
    expect(Object.keys(readProfiles().profiles)).toHaveLength(10);
  });

  it.each([
    ["no YAML", "profiles: [", /it is not YAML/],
    ["another key", "relays: {}", /relays: not a key/],
    ["a list of profiles' names", "current: [prod]", /current: a profile's name/],
    ["no relay", "profiles: { a: {} }", /profiles\.a\.relay: a text is due/],
    ["another key in a profile", "profiles: { a: { relay: 'https://a', token: x } }", /profiles\.a\.token: not a key/],
    ["an unknown login", "profiles: { a: { relay: x, login: { kind: password } } }", /login\.kind: one of openid/],
    ["a kind that every object has", "profiles: { a: { relay: x, login: { kind: toString } } }", /login\.kind: one of/],
    ["a login without its issuer", "profiles: { a: { relay: x, login: { kind: openid } } }", /login\.issuer: a text/],
    [
      "scopes that are a text",
      "profiles: { a: { relay: x, login: { kind: openid, issuer: y, clientId: z, scopes: openid } } }",
      /login\.scopes: a list of texts/,
    ],
    [
      "a secret in it",
      "profiles: { a: { relay: x, login: { kind: openid, issuer: y, clientId: z, scopes: [], clientSecret: s } } }",
      /login\.clientSecret: not a key/,
    ],
    ["a name that leads elsewhere", "profiles: { ../../x: { relay: x } }", /cannot be a profile's name/],
  ])("that have %s are refused, and stay as they are", async (_what, text, says) => {
    await write(text);
    expect(readProfiles).toThrow(
      expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST, message: expect.stringMatching(says) }),
    );
    await expect(changeProfiles(() => TWO)).rejects.toThrow(says);
    expect(await readFile(profilesFile(), "utf8")).toBe(text);
  });
});

describe("a profile's name", () => {
  it.each(["prod", "relay.example.com-8443", "A_1"])("may be %s", (name) => checkProfileName(name));
  it.each(["", "..", ".x", "a/b", "a\\b", "a b", "-x", "ü", "x".repeat(101), "a\nb", "a:b"])(
    "may not be %j",
    (name) => {
      expect(() => checkProfileName(name)).toThrow(/cannot be a profile's name/);
    },
  );
  it.each([
    ["https://relay.example.com", "relay.example.com"],
    ["https://relay.example.com:8443/x", "relay.example.com-8443"],
    ["https://[::1]:8443", "1-8443"],
  ])("is made of %s", (url, name) => {
    expect(profileNameFor(new URL(url))).toBe(name);
    checkProfileName(name);
  });
});

describe("the profile that a command is for", () => {
  beforeEach(() => changeProfiles(() => TWO));

  it("is the current one by itself", () => {
    expect(selectedProfile({})?.name).toBe("prod");
  });
  it("is the one that is named, whatever relay is given", () => {
    expect(selectedProfile({ profile: "test", relay: "https://prod.example.com" })?.name).toBe("test");
  });
  it("is the one of the relay that is given, by its origin", () => {
    expect(selectedProfile({ relay: "https://test.example.com:8443/" })?.name).toBe("test");
    expect(selectedProfile({ relay: "https://TEST.example.com:8443" })?.name).toBe("test");
  });
  it("is none for a relay that is none's, or no address: a login is sent to no other", () => {
    for (const relay of ["https://test.example.com", "https://prod.example.com.evil.example", "prod.example.com", ""]) {
      expect(selectedProfile({ relay })).toBeUndefined();
    }
  });
  it("that is not there is refused, with those that are", () => {
    expect(() => selectedProfile({ profile: "toString" })).toThrow(/no profile toString \(there are: prod, test\)/);
  });
  it("is none if the current one is gone", async () => {
    await changeProfiles((all) => ({ ...all, current: "gone" }));
    expect(selectedProfile({})).toBeUndefined();
  });
});
