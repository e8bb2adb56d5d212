import { describe, expect, it } from "@jest/globals";
import type { JWTPayload } from "jose";
import { stringify } from "yaml";
import { parseAuthenticationConfiguration } from "./configuration.ts";
import { type Subject, subjectOf } from "./subject.ts";

/** The subject that an issuer with these mappings and rules makes of claims. */
function subject(claims: JWTPayload, mappings: object, rules: object = {}): Subject {
  const issuer = { url: "https://issuer.example.com", audiences: ["fairlead"] };
  const claimMappings = { username: { claim: "sub", prefix: "" }, ...mappings };
  const [parsed] = parseAuthenticationConfiguration(
    stringify({
      apiVersion: "apiserver.config.k8s.io/v1",
      kind: "AuthenticationConfiguration",
      jwt: [{ issuer, claimMappings, ...rules }],
    }),
  );
  if (parsed === undefined) throw new Error("there is no issuer");
  return subjectOf({ sub: "jane", exp: 1_800_000_000, ...claims }, parsed);
}

const username = (expression: string) => ({ username: { expression } });
const groups = (expression: string) => ({ groups: { expression } });

describe("an expression for the user name", () => {
  it("gives the whole name: no prefix comes before it", () => {
    expect(subject({}, username('"oidc:" + claims.sub')).user).toBe("oidc:jane");
  });

  it.each<[what: string, claims: JWTPayload, says: RegExp]>([
    ["the empty text", { sub: "" }, /missing or blank/],
    ["a blank", { sub: " " }, /missing or blank/],
    ["a system: name", { sub: "system:admin" }, /system: name/],
    ["a system: name behind blanks", { sub: "  system:admin" }, /system: name/],
    ["a line feed", { sub: "jane\nImpersonate-Group: a" }, /control characters/],
    ["half a surrogate pair", { sub: "jane\ud800" }, /control characters/],
    ["a blank at its end", { sub: "jane " }, /begins or ends with a blank/],
    ["a number", { sub: 7 as unknown as string }, /missing or blank/],
    ["a list", { sub: ["jane"] as unknown as string }, /missing or blank/],
    ["a claim that is not there", { sub: undefined as unknown as string }, /sub/],
  ])("that gives %s refuses the token", (_what, claims, says) => {
    expect(() => subject(claims, username("claims.sub"))).toThrow(says);
  });

  it.each(["claims.email", 'claims["email"]', 'claims.?email.orValue("")', 'claims[?"email"].orValue("")'])(
    "by e-mail address is found however it is named: %s",
    (expression) => {
      expect(() => subject({ email: "jane@example.com" }, username(expression))).toThrow(/claims\.email_verified/);
    },
  );

  it("by e-mail address wants an expression to say what email_verified must be, as Kubernetes does", () => {
    const claims = { email: "jane@example.com", email_verified: false };
    expect(() => subject(claims, username("claims.email"))).toThrow(/email_verified/);
    const rule = { expression: "claims.?email_verified.orValue(false) == true", message: "verify your address" };
    const rules = { claimValidationRules: [rule] };
    expect(() => subject(claims, username("claims.email"), rules)).toThrow(/^verify your address$/);
    expect(subject({ ...claims, email_verified: true }, username("claims.email"), rules).user).toBe("jane@example.com");
  });
});

describe("an expression for groups", () => {
  it.each<[text: string, claims: JWTPayload, groups: string[]]>([
    ["claims.groups", { groups: ["dev", "ops", "dev"] }, ["dev", "ops"]],
    ["claims.groups", { groups: "dev" }, ["dev"]],
    ["claims.groups", { groups: [] }, []],
    ["claims.groups", { groups: "" }, []],
    ["claims.groups", { groups: null }, []],
    ["claims.?groups.orValue([])", {}, []],
    ['claims.groups.map(g, "oidc:" + g)', { groups: ["system:masters"] }, ["oidc:system:masters"]],
    ['claims.roles.split(",")', { roles: "a,b" }, ["a", "b"]],
  ])("%s of %j", (text, claims, expected) => {
    expect(subject(claims, groups(text)).groups).toEqual(expected);
  });

  it.each<[what: string, value: unknown]>([
    ["a system: group", ["dev", "system:masters"]],
    ["a blank one", ["dev", " "]],
    ["one with a line feed", ["dev\n"]],
    ["one that is no text", ["dev", 7]],
    ["a list in a list", [["dev"]]],
    ["a mapping", { a: "dev" }],
    ["a truth", true],
  ])("that gives %s refuses the token", (_what, value) => {
    expect(() => subject({ groups: value }, groups("claims.groups"))).toThrow(/the expression claims\.groups/);
  });

  it("that gives a claim beside a text, and the claim is none, refuses the token", () => {
    expect(subject({ team: "blue" }, groups('["all", claims.team]')).groups).toEqual(["all", "blue"]);
    expect(() => subject({ team: 7 }, groups('["all", claims.team]'))).toThrow(/missing or blank/);
    expect(() => subject({ team: ["blue"] }, groups('["all", claims.team]'))).toThrow(/missing or blank/);
  });

  it("does not take a link in the groups' place for no groups", () => {
    const claims = { _claim_names: { groups: "src1" }, _claim_sources: { src1: { endpoint: "https://graph" } } };
    expect(() => subject(claims, groups("claims.?groups.orValue([])"))).toThrow(/too many groups.*assigned/);
    expect(() => subject({ hasgroups: true }, groups("claims.?groups.orValue([])"))).toThrow(/too many groups/);
    for (const text of [
      "has(claims.groups) ? claims.groups : []",
      '"groups" in claims ? claims.groups : []',
      'claims[?"groups"].orValue([])',
      '["all"] + claims.?groups.orValue([])',
      'claims.?groups.orValue([]).filter(g, g != "")',
    ]) {
      expect(() => subject(claims, groups(text))).toThrow(/too many groups.*assigned/);
    }
  });
});

describe("an expression for the uid", () => {
  it("gives it", () => {
    expect(subject({ oid: "42" }, { uid: { expression: '"entra/" + claims.oid' } }).uid).toBe("entra/42");
  });

  it("refuses the token where it gives none", () => {
    expect(() => subject({ oid: "" }, { uid: { expression: "claims.oid" } })).toThrow(/missing or blank/);
  });
});

describe("extras", () => {
  const extra = (valueExpression: string) => ({ extra: [{ key: "example.com/team", valueExpression }] });

  it.each<[value: unknown, expected: object | undefined]>([
    ["blue", { "example.com/team": ["blue"] }],
    [["blue", "red"], { "example.com/team": ["blue", "red"] }],
    ["", undefined],
    [[], undefined],
    [null, undefined],
    [["blue", ""], { "example.com/team": ["blue"] }],
    [["", ""], undefined],
    ["Größe 🚢, 50 %", { "example.com/team": ["Größe 🚢, 50 %"] }],
  ])("of %j", (team, expected) => {
    expect(subject({ team }, extra("claims.team")).extra).toEqual(expected);
  });

  it.each([
    [7],
    [["blue", 7]],
    ["blue\nImpersonate-User: root"],
    [{ a: "b" }],
    [true],
    [[["blue"]]],
    [["blue", null]],
    ["blue\0"],
    ["\ud800"],
    ["\u202eeulb"],
    [" "],
    [" blue"],
    [["blue", "red "]],
    ["blue\u00a0"],
  ])("of %j refuse the token", (team) => {
    expect(() => subject({ team }, extra("claims.team"))).toThrow(/the extra example\.com\/team/);
  });
});

describe("nobody becomes one of Kubernetes' own", () => {
  const say = { claim: "system:masters" };

  it.each([
    ["by the text itself", '"system:masters"'],
    ["put together", '"system" + ":masters"'],
    ["by parts of a claim", 'claims.claim.split(":").join(":")'],
    ["by replacing", '"oidc:masters".replace("oidc", "system")'],
    ["in lower case", '"SYSTEM:MASTERS".lowerAscii()'],
    ["trimmed", '" system:masters ".trim()'],
    ["by a branch", 'has(claims.claim) ? claims.claim : "nobody"'],
    ["by an optional field", 'claims.?claim.orValue("nobody")'],
    ["by a pattern", 'claims.claim.find("system:[a-z]+")'],
  ])("%s: not as user, uid or group", (_what, expression) => {
    expect(() => subject(say, username(expression))).toThrow(/system: name, which no token may/);
    expect(() => subject(say, groups(expression))).toThrow(/system: name, which no token may/);
    expect(() => subject(say, groups(`["dev", ${expression}]`))).toThrow(/system: name, which no token may/);
    expect(() => subject(say, { uid: { expression } })).toThrow(/system: name, which no token may/);
  });
});

describe("a rule by expression", () => {
  it("on claims refuses the token with its message, and is asked before anything else", () => {
    const rules = {
      claimValidationRules: [{ expression: "claims.hd == 'example.com'", message: "not of our company" }],
    };
    expect(subject({ hd: "example.com" }, {}, rules).user).toBe("jane");
    expect(() => subject({ hd: "example.org", sub: "" }, {}, rules)).toThrow(/^not of our company$/);
  });

  it("on claims that are not there refuses the token", () => {
    const rules = { claimValidationRules: [{ expression: "claims.hd == 'example.com'" }] };
    expect(() => subject({}, {}, rules)).toThrow(/hd/);
  });

  it("without message says which it is", () => {
    const rules = { claimValidationRules: [{ expression: "claims.level > 4" }] };
    expect(() => subject({ level: 4 }, {}, rules)).toThrow("it does not keep the rule claims.level > 4");
  });

  it.each([["true"], [1], [null]])("that gives %j, which is not true, refuses the token", (ok) => {
    expect(() => subject({ ok }, {}, { claimValidationRules: [{ expression: "claims.ok" }] })).toThrow(/the rule/);
  });

  it("on the user keeps out names, as Kubernetes' own example does", () => {
    const rules = {
      userValidationRules: [
        { expression: "!user.username.startsWith('admin')", message: "no admins" },
        { expression: "user.groups.all(group, !group.startsWith('root'))", message: "no roots" },
      ],
    };
    const mapped = { groups: { claim: "groups", prefix: "" } };
    expect(subject({ groups: ["dev"] }, mapped, rules).user).toBe("jane");
    expect(() => subject({ sub: "admin-1" }, mapped, rules)).toThrow(/^no admins$/);
    expect(() => subject({ groups: ["dev", "root-2"] }, mapped, rules)).toThrow(/^no roots$/);
  });

  it("on a token's lifetime counts seconds, as Kubernetes' own example does", () => {
    const rules = { claimValidationRules: [{ expression: "claims.exp - claims.nbf <= 86400", message: "a day" }] };
    expect(subject({ nbf: 1_800_000_000 - 86_400 }, {}, rules).user).toBe("jane");
    expect(() => subject({ nbf: 1_800_000_000 - 86_401 }, {}, rules)).toThrow(/^a day$/);
    expect(() => subject({}, {}, rules)).toThrow(/nbf/);
  });

  it("on the user sees what the mappings made: name, uid, groups, extras", () => {
    const mappings = {
      username: { claim: "sub", prefix: "oidc:" },
      groups: { claim: "groups", prefix: "" },
      uid: { claim: "oid" },
      extra: [{ key: "example.com/team", valueExpression: "claims.team" }],
    };
    const expression =
      "user.username == 'oidc:jane' && user.uid == '42' && user.groups == ['dev'] && user.extra['example.com/team'] == ['blue']";
    const rules = { userValidationRules: [{ expression, message: "nobody else" }] };
    const claims = { oid: "42", groups: ["dev"], team: "blue" };
    expect(subject(claims, mappings, rules).user).toBe("oidc:jane");
    expect(() => subject({ ...claims, groups: [] }, mappings, rules)).toThrow(/^nobody else$/);
  });
});

describe("claims that are too large for expressions", () => {
  const large = { sub: "jane", groups: Array.from({ length: 5_000 }, (_, i) => `group-${i}`) };

  it("are refused where an expression looks at them", () => {
    expect(() => subject(large, groups("claims.groups"))).toThrow(/more than 32 KiB/);
  });

  it("are taken where none does", () => {
    expect(subject(large, { groups: { claim: "groups", prefix: "" } }).groups).toHaveLength(5_000);
  });
});
