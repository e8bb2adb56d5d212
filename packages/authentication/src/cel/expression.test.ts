import { describe, expect, it } from "@jest/globals";
import { celValue, Expression, type ResultType } from "./expression.ts";

const CLAIMS = {
  sub: "jane",
  email: "jane@example.com",
  email_verified: true,
  level: 5,
  share: 0.5,
  iat: 1_799_990_000,
  exp: 1_800_000_000,
  groups: ["dev", "ops"],
  realm_access: { roles: ["view", "admin"] },
  empty: [],
  nothing: null,
};
const evaluate = (text: string, due: ResultType = "texts", claims: object = CLAIMS) =>
  new Expression(text, "claims", due).evaluate(celValue(claims));

describe("an expression", () => {
  it.each<[text: string, value: unknown]>([
    ["claims.sub", "jane"],
    ['"oidc:" + claims.sub', "oidc:jane"],
    ['claims["sub"]', "jane"],
    ["claims.groups", ["dev", "ops"]],
    ['claims.groups.map(g, "oidc:" + g)', ["oidc:dev", "oidc:ops"]],
    ['claims.realm_access.roles.filter(r, r != "view")', ["admin"]],
    ['claims.groups.filter(g, g != "dev").map(g, "a:" + g)', ["a:ops"]],
    ['claims.groups + ["c"]', ["dev", "ops", "c"]],
    ['"dev" in claims.groups ? "developer" : "guest"', "developer"],
    ['claims.?missing.orValue("none")', "none"],
    ["claims.?groups.orValue([])", ["dev", "ops"]],
    ['has(claims.missing) ? claims.missing : "none"', "none"],
    ['claims.email.split("@")[0]', "jane"],
    ['["all", claims.sub, claims.?team.orValue("none")]', ["all", "jane", "none"]],
    ["claims.sub.upperAscii()", "JANE"],
    ['claims.email.replace("@", "-at-")', "jane-at-example.com"],
    ['"a$b".replace("$", "$&$1")', "a$&$1b"],
    ['claims.email.find("[a-z]+$")', "com"],
    ['claims.sub.find("[0-9]+")', ""],
    ['claims.email.findAll("[aeiou]")', ["a", "e", "e", "a", "e", "o"]],
    ['claims.sub.findAll("[0-9]")', []],
    ['claims[?"team"].orValue("none")', "none"],
    ["claims.realm_access.?roles[?0].orValue('none')", "view"],
    ['claims.groups.filter(g, "claims" != g)', ["dev", "ops"]],
  ])("gives texts: %s", (text, value) => {
    expect(evaluate(text)).toEqual(value);
  });

  it.each([
    "claims.level == 5",
    "claims.level > 4",
    "claims.share < 1.0",
    "claims.exp - claims.iat <= 86400",
    'claims.email.endsWith("@example.com")',
    'claims.sub.matches("^j[a-z]*$")',
    "claims.?email_verified.orValue(true) == true",
    'claims.groups.all(g, !g.startsWith("system:"))',
    'claims.groups.exists(g, g == "dev")',
    "size(claims.groups) == 2",
    "claims.nothing == null",
    '"email" in claims && !("phone" in claims)',
    "claims.groups[claims.level - 5] == 'dev'",
  ])("is true of the claims: %s", (text) => {
    expect(evaluate(text, "bool")).toBe(true);
  });

  it("knows which claims it looks at", () => {
    const text = 'claims.email + claims.?a.orValue("") + claims["b"] + claims.groups.map(g, claims.c)[0]';
    expect(new Expression(text, "claims", "text").claims).toEqual(new Set(["email", "a", "b", "groups", "c"]));
    const user = new Expression("user.username != user.groups[0]", "user", "bool");
    expect(user.claims).toEqual(new Set(["username", "groups"]));
  });

  it.each([
    ["a claim that is not there", "claims.missing"],
    ["one of every object's", "claims.constructor"],
    ["the prototype", "claims.__proto__.a"],
    ["an element that is not there", "claims.groups[7]"],
    ["texts and numbers together", 'claims.level + "a"'],
  ])("fails on %s, in one line", (_what, text) => {
    expect(() => evaluate(text)).toThrow(/^[^\n]+$/);
  });
});

describe("an expression is refused when the file is read", () => {
  it.each<[what: string, text: string, due: ResultType, says: RegExp]>([
    ["an empty one", "", "text", /./],
    ["one that breaks off", "claims.", "text", /Expected/],
    ["one with a name that is not there", "claim.sub", "text", /Unknown variable: claim/],
    ["one of claims where the user is due", "claims.sub", "bool", /Unknown variable: claims/],
    ["a function that is not there", "claims.sub.frobnicate()", "text", /frobnicate/],
    ["a number for a text", "1 + 2", "text", /a text is due, not int/],
    ["a list for a text", '["a"]', "text", /a text is due, not list/],
    ["a truth for texts", "true", "texts", /a text or a list of texts is due, not bool/],
    ["a list of numbers for texts", "[1]", "texts", /not list<int>/],
    ["a text for a truth", '"true"', "bool", /a bool is due, not string/],
    ["text and number added", '"a" + 1', "text", /no such overload/],
    ["branches of two types", 'claims.a == 1 ? "a" : 1', "text", /same type/],
    ["one that is too long", `"${"a".repeat(10_000)}"`, "text", /characters at most/],
    ["one of too many parts", Array.from({ length: 600 }, () => "claims.a").join(" + "), "text", /./],
    ["one that is too deep", `${"(".repeat(60)}claims.a${")".repeat(60)} + ${"!".repeat(60)}true`, "text", /./],
    ["a pattern that is none", 'claims.sub.matches("(")', "bool", /[Rr]egular expression/],
  ])("%s", (_what, text, due, says) => {
    const scope = _what.includes("where the user is due") ? "user" : "claims";
    expect(() => new Expression(text, scope, due)).toThrow(says);
  });
});

describe("an expression that may run for long is refused", () => {
  it.each([
    ["a list gone through for each element of a list", "claims.a.all(x, claims.b.all(y, x != y))"],
    ["three deep", "claims.a.map(x, claims.b.map(y, claims.c.map(z, z)))"],
    ["by another of the macros", "claims.a.exists(x, claims.b.filter(y, y == x) == [])"],
    ["in the receiver within", "claims.a.all(x, x.filter(y, y).exists_one(z, z))"],
    ["in a list's element", "claims.a.map(x, [claims.b.map(y, y)])"],
    ["in a branch", "claims.a.all(x, x ? claims.b.all(y, y) : false)"],
  ])("%s", (_what, text) => {
    expect(() => new Expression(text, "claims", text.includes("map(x") ? "texts" : "bool")).toThrow(/may run for long/);
  });

  it.each([
    ["from the caller", "claims.sub.matches(claims.pattern)"],
    ["put together", 'claims.sub.matches("a" + "b")'],
    ["with lookahead", 'claims.sub.matches("(?=a)")'],
    ["with lookbehind", 'claims.sub.matches("(?<!a)")'],
    ["with a backreference", 'claims.sub.matches("(a)\\\\1")'],
    ["for find from the caller", 'claims.sub.find(claims.pattern) == ""'],
    ["for findAll from the caller", "claims.sub.findAll(claims.pattern) == []"],
    ["with a class of Unicode's, which would be a p here", 'claims.sub.matches("^\\\\p{Lu}")'],
    ["with its complement", 'claims.sub.matches("^\\\\P{Lu}")'],
    ["with a class of POSIX's", 'claims.sub.matches("^[[:alpha:]]+$")'],
    ["with RE2's begin of text, which would be an A here", 'claims.sub.matches("\\\\Aadmin")'],
    ["with RE2's end of text, which would be a z here", 'claims.sub.matches("admin\\\\z")'],
    ["with RE2's quotation", 'claims.sub.matches("\\\\Qa.b\\\\E")'],
  ])("a pattern %s", (_what, text) => {
    expect(() => new Expression(text, "claims", "bool")).toThrow(/(matches|find|findAll): /);
  });

  it("a text that doubles again and again", () => {
    const text = "cel.bind(a, claims.sub + claims.sub, cel.bind(b, a + a, cel.bind(c, b + b, c + c)))";
    expect(() => new Expression(text, "claims", "text")).toThrow(/cel\.bind/);
  });

  it("but a list gone through behind another is not", () => {
    expect(evaluate("claims.groups.map(g, g).filter(g, g != 'dev').all(g, g == 'ops')", "bool")).toBe(true);
  });

  it("and a pattern that goes wrong in most engines ends: this test would not", () => {
    const sub = `${"a".repeat(60)}b`;
    expect(evaluate('claims.sub.matches("^(a+)+$")', "bool", { sub })).toBe(false);
    expect(evaluate('claims.sub.matches("^(a|aa)*c$")', "bool", { sub })).toBe(false);
  });
});

describe("an expression that does not say which claims it looks at is refused: rules on claims could be gone around", () => {
  it.each([
    ["in a list", "[claims].map(c, c.email)[0]"],
    ["in a list, by its place", "[claims][0].email"],
    ["in a map", '{"a": claims}.a.email'],
    ["behind a cast", "dyn(claims).email"],
    ["in branches", "(true ? claims : claims).email"],
    ["in an optional", "optional.of(claims).value().email"],
    ["by a name that is put together", 'claims["em" + "ail"]'],
    ["by a name of the caller's", "claims[claims.which]"],
    ["by all names, one after the other", "claims.map(name, name)"],
    ["by all names, filtered", 'claims.filter(name, name.startsWith("em"))'],
    ["under another name", "claims.groups.map(claims, claims)"],
    ["whole", "claims"],
  ])("%s", (_what, text) => {
    expect(() => new Expression(text, "claims", "texts")).toThrow(/^claims: write out which is meant/);
  });
});

describe("an expression that gives too much", () => {
  it.each([
    ["in a text", Array.from({ length: 10 }, () => "claims.sub").join(" + ")],
    ["in a list", "claims.groups.map(g, g + claims.sub)"],
  ])("%s refuses the token", (_what, text) => {
    const claims = { sub: "x".repeat(30_000), groups: Array.from({ length: 9 }, (_, i) => `${i}`) };
    expect(() => evaluate(text, "texts", claims)).toThrow(/gives more than 256 KiB/);
  });
});
