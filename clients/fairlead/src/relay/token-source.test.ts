import { mkdtemp, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { tokenOwner, tokenSource } from "./token-source.ts";

const CANARY = "canary-7f3a";
let folder: string;
let file: string;
const environment = process.env.FAIRLEAD_TOKEN;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  file = join(folder, "token");
  delete process.env.FAIRLEAD_TOKEN;
});

afterEach(async () => {
  await rm(folder, { recursive: true });
  if (environment === undefined) delete process.env.FAIRLEAD_TOKEN;
  else process.env.FAIRLEAD_TOKEN = environment;
});

const refused = (says: RegExp) =>
  expect.objectContaining({
    code: ErrorCode.TOKEN_REFUSED,
    hop: Hop.CLIENT_PROXY,
    message: expect.stringMatching(says),
  });

/** Texts that are no token. */
const NO_TOKENS: [what: string, text: string, says: RegExp][] = [
  ["empty", "", /there is no token in/],
  ["blank", " \n\t\r\n", /there is no token in/],
  ["of two words", `Bearer ${CANARY}`, /is not a token/],
  ["of two lines", `${CANARY}\n${CANARY}`, /is not a token/],
  ["not ASCII", `${CANARY}é`, /is not a token/],
  ["with a control character", `${CANARY}\0x`, /is not a token/],
  ["with a byte order mark within", `a\ufeff${CANARY}`, /is not a token/],
];

describe("a token in a file", () => {
  it.each([
    ["as it is", "a.b.c"],
    ["with a line feed behind it", "a.b.c\n"],
    ["with Windows' line end behind it", "a.b.c\r\n"],
    ["with blanks around it", "  a.b.c \n\n"],
  ])("is read %s", async (_what, text) => {
    await writeFile(file, text);
    expect(tokenSource(file)()).toBe("a.b.c");
  });

  it("is read again when the file changes, so that a refreshed one counts at once", async () => {
    await writeFile(file, "first");
    const source = tokenSource(file);
    expect(source()).toBe("first");
    await writeFile(file, "second");
    await utimes(file, new Date(), new Date(Date.now() + 5_000));
    expect(source()).toBe("second");
  });

  it("is read again when another file takes its place", async () => {
    await writeFile(file, "first");
    const source = tokenSource(file);
    source();
    await writeFile(`${file}.new`, "second");
    await utimes(`${file}.new`, new Date(), new Date(Date.now() + 5_000));
    await rename(`${file}.new`, file);
    expect(source()).toBe("second");
  });

  it("is not read again while the file is the same", async () => {
    const when = new Date(1_700_000_000_000);
    await writeFile(file, "first");
    await utimes(file, when, when);
    const source = tokenSource(file);
    expect(source()).toBe("first");
    await writeFile(file, "other");
    await utimes(file, when, when);
    expect(source()).toBe("first");
  });

  it.each(NO_TOKENS)("that is %s is refused, with what to do and without what is in it", async (_what, text, says) => {
    await writeFile(file, text);
    const source = tokenSource(file);
    expect(source).toThrow(refused(says));
    expect(source).toThrow(refused(/--token-file FILE/));
    expect(source).not.toThrow(new RegExp(CANARY));
  });

  it("that is missing is refused by name, and taken when it is there", async () => {
    const source = tokenSource(file);
    expect(source).toThrow(refused(new RegExp(`the token file ${file} cannot be read`)));
    await writeFile(file, "a.b.c");
    expect(source()).toBe("a.b.c");
  });

  it("that goes is refused: what was known is not used any more", async () => {
    await writeFile(file, "a.b.c");
    const source = tokenSource(file);
    source();
    await rm(file);
    expect(source).toThrow(refused(/cannot be read/));
  });

  it("that turns bad is refused, and taken when it is good again", async () => {
    await writeFile(file, "first");
    const source = tokenSource(file);
    source();
    await writeFile(file, "");
    await utimes(file, new Date(), new Date(Date.now() + 5_000));
    expect(source).toThrow(refused(/there is no token/));
    expect(source).toThrow(refused(/there is no token/));
    await writeFile(file, "second");
    await utimes(file, new Date(), new Date(Date.now() + 9_000));
    expect(source()).toBe("second");
  });

  it("that is a folder is refused", () => {
    expect(tokenSource(folder)).toThrow(refused(/cannot be read/));
  });
});

describe("a token in the environment", () => {
  it("is FAIRLEAD_TOKEN, read once", () => {
    process.env.FAIRLEAD_TOKEN = "a.b.c\n";
    const source = tokenSource(undefined);
    process.env.FAIRLEAD_TOKEN = "other";
    expect(source()).toBe("a.b.c");
  });

  it("does not count beside a file", async () => {
    process.env.FAIRLEAD_TOKEN = "of-environment";
    await writeFile(file, "of-file");
    expect(tokenSource(file)()).toBe("of-file");
  });

  it("that is not set is refused with all four ways to give one", () => {
    expect(() => tokenSource(undefined)).toThrow(
      refused(
        /no token in the environment \(FAIRLEAD_TOKEN\); run `fairlead login`, or give one with --token-file FILE, --token-file - .* or/,
      ),
    );
  });

  it.each(NO_TOKENS.filter(([, text]) => !text.includes("\0")))("that is %s is refused", (_what, text, says) => {
    process.env.FAIRLEAD_TOKEN = text;
    expect(() => tokenSource(undefined)).toThrow(refused(says));
    expect(() => tokenSource(undefined)).not.toThrow(new RegExp(CANARY));
  });
});

describe("whose a token is", () => {
  const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const of = (sub: string, more = {}) =>
    `${encoded({ alg: "ES256" })}.${encoded({ iss: "https://i.example.com", sub, ...more })}.c2ln`;
  const given = (token: string) => {
    process.env.FAIRLEAD_TOKEN = token;
    return tokenOwner(undefined, tokenSource(undefined), "work");
  };

  it("is its subject where it is given by itself, however often it is replaced", async () => {
    const account = await given(of("jane")).account();
    expect(await given(of("jane", { exp: 2 })).account()).toBe(account);
    expect(await given(of("joe")).account()).not.toBe(account);
  });

  it("is its file's where it is in one, whoever's is in there now", async () => {
    const account = () => tokenOwner(file, tokenSource(file), "work").account();
    await writeFile(file, of("jane"));
    const before = await account();
    await writeFile(file, of("joe"));
    expect(await account()).toBe(before);
    expect(await tokenOwner(`${file}.other`, tokenSource(file), "work").account()).not.toBe(before);
  });

  it("is told as another source for another file, another token and each login", async () => {
    await writeFile(file, of("jane"));
    const ofFile = tokenOwner(file, tokenSource(file), "work").identity;
    const [first, second] = [given(of("jane")).identity, given(of("jane", { exp: 2 })).identity];
    delete process.env.FAIRLEAD_TOKEN;
    const [work, admin] = ["work", "admin"].map((name) => tokenOwner(undefined, () => of("jane"), name).identity);
    expect(ofFile).toBe(`the token in ${file}`);
    expect(new Set([ofFile, first, second, work, admin]).size).toBe(5);
    expect(`${first}${second}`).not.toContain(of("jane").slice(0, 20));
  });

  it("is the login where one counts, though two are of the same person: no token is asked for", async () => {
    const login = (name: string) => tokenOwner(undefined, () => Promise.reject(new Error("asked")), name).account();
    expect(await login("work")).not.toBe(await login("admin"));
  });

  it("is nobody's where it does not say", async () => {
    expect(await given("opaque").account()).toBe("");
  });
});
