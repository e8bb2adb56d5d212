import { describe, expect, it } from "@jest/globals";
import type { JWTPayload } from "jose";
import type { IssuerConfiguration } from "./configuration.ts";
import { subjectOf } from "./subject.ts";

const EXP = 1_800_000_000;

/** An issuer that maps `sub` and `groups` without prefix, with changes. */
function issuer(changes: Partial<IssuerConfiguration> = {}): IssuerConfiguration {
  return {
    url: "https://issuer.example.com",
    discoveryUrl: undefined,
    certificateAuthority: undefined,
    audiences: ["fairlead"],
    username: { claim: "sub", prefix: "" },
    groups: { claim: "groups", prefix: "" },
    uid: undefined,
    extra: [],
    requiredClaims: [],
    claimRules: [],
    userRules: [],
    ...changes,
  };
}

const subject = (claims: JWTPayload, changes?: Partial<IssuerConfiguration>) =>
  subjectOf({ exp: EXP, ...claims }, issuer(changes));

/** Texts that are no name, by what is wrong with them. A user, a group and a uid are refused alike. */
const NO_NAMES: [what: string, value: unknown][] = [
  ["null", null],
  ["empty", ""],
  ["a blank", " "],
  ["blanks of Unicode", "\u00a0\u2003\u3000"],
  ["a number", 7],
  ["true", true],
  ["a mapping", { name: "jane" }],
  ["with a line feed", "jane\nImpersonate-Group: system:masters"],
  ["with a carriage return", "jane\r"],
  ["with NUL", "jane\0"],
  ["with a tab", "ja\tne"],
  ["with DEL", "jane\u007f"],
  ["with a C1 control", "jane\u0085"],
  ["with a zero-width space", "ja\u200bne"],
  ["with a direction override", "\u202eenaj"],
  ["with a byte order mark", "\ufeffjane"],
  ["with a line separator", "jane\u2028"],
  ["with a paragraph separator", "jane\u2029"],
  ["with half a surrogate pair, which has no UTF-8", "jane\ud800"],
  ["with a leading blank, which HTTP would take off", " jane"],
  ["with a trailing blank, which HTTP would take off", "jane "],
  ["with a trailing blank of Unicode", "jane\u00a0"],
];

/** Names that are Kubernetes' own. */
const SYSTEM_NAMES = [
  "system:masters",
  "system:admin",
  "system:",
  "system:serviceaccount:kube-system:default",
  " system:masters",
  "\u00a0system:masters",
  "  system:node:a",
];

describe("a subject's user", () => {
  it.each([
    ["as it is", "jane", "", "jane"],
    ["with the prefix", "jane", "oidc:", "oidc:jane"],
    [
      "that is an address of a repository",
      "repo:octo/app:ref:refs/heads/main",
      "gh:",
      "gh:repo:octo/app:ref:refs/heads/main",
    ],
    ["that is not ASCII", "jürgen-测试-👩", "", "jürgen-测试-👩"],
    ["with blanks within", "Jane Doe", "", "Jane Doe"],
    ["that only looks like a system name", "systems:admin", "", "systems:admin"],
    ["with a system name behind a prefix", "system:masters", "oidc:", "oidc:system:masters"],
    ["with a system name in another case, which Kubernetes does not know", "System:masters", "", "System:masters"],
  ])("is a name %s", (_what, sub, prefix, user) => {
    expect(subject({ sub }, { username: { claim: "sub", prefix } }).user).toBe(user);
  });

  it("may come from any claim", () => {
    const named = subject({ preferred_username: "jane" }, { username: { claim: "preferred_username", prefix: "" } });
    expect(named.user).toBe("jane");
  });

  it("is missing: refused, with the claim's name", () => {
    expect(() => subject({ name: "jane" })).toThrow(/claim sub/);
  });

  it("is not taken from the prototype of an object", () => {
    expect(() => subject({}, { username: { claim: "constructor", prefix: "" } })).toThrow(/claim constructor/);
  });

  it.each(NO_NAMES)("that is %s is refused", (_what, value) => {
    expect(() => subject({ sub: value as string })).toThrow(/claim sub/);
  });

  it.each(NO_NAMES)("that is %s is refused behind a prefix too", (_what, value) => {
    const prefixed = { username: { claim: "sub", prefix: "oidc:" } };
    // A leading blank is within the name then, where HTTP keeps it.
    if (typeof value === "string" && value === " jane")
      expect(subject({ sub: value }, prefixed).user).toBe("oidc: jane");
    else expect(() => subject({ sub: value as string }, prefixed)).toThrow(/claim sub/);
  });

  it.each(SYSTEM_NAMES)("%j is refused", (sub) => {
    expect(() => subject({ sub })).toThrow(/system:/);
  });

  it.each([
    ["system:", "masters"],
    ["system", ":masters"],
    ["sys", "tem:masters"],
    [" system:", "admin"],
  ])("whose prefix %j makes a system name of %j is refused", (prefix, sub) => {
    expect(() => subject({ sub }, { username: { claim: "sub", prefix } })).toThrow(/system:/);
  });

  it.each(NO_NAMES)("that is %s is in no error message", (_what, value) => {
    expect(() => subject({ sub: value as string })).not.toThrow(/jan|naj|Impersonate/);
  });
});

describe("an e-mail address as user name", () => {
  const email = (claims: JWTPayload) => subject(claims, { username: { claim: "email", prefix: "" } });

  it("is taken when it is verified", () => {
    expect(email({ email: "jane@example.com", email_verified: true }).user).toBe("jane@example.com");
  });

  it.each([
    ["false", { email_verified: false }],
    ["the text true", { email_verified: "true" }],
    ["1", { email_verified: 1 }],
    ["null", { email_verified: null }],
    ["missing", {}],
  ])("is refused when email_verified is %s", (_what, claims) => {
    expect(() => email({ email: "jane@example.com", ...claims })).toThrow(/not verified \(email_verified\)/);
  });

  it("is refused when it is missing, verified or not", () => {
    expect(() => email({ email_verified: true })).toThrow(/claim email/);
  });

  it("does not matter when the name is another claim", () => {
    expect(subject({ sub: "jane", email: "jane@example.com", email_verified: false }).user).toBe("jane");
  });
});

describe("a subject's groups", () => {
  it.each<[what: string, value: unknown, groups: string[]]>([
    ["an array", ["dev", "ops"], ["dev", "ops"]],
    ["one text", "dev", ["dev"]],
    ["an empty array", [], []],
    ["duplicates", ["dev", "ops", "dev"], ["dev", "ops"]],
    ["commas, which do not divide", ["dev,ops", "a, b"], ["dev,ops", "a, b"]],
    ["not ASCII", ["Größe", "开发者", "🚢"], ["Größe", "开发者", "🚢"]],
    ["two forms of one letter, which stay two", ["e\u0301", "\u00e9"], ["e\u0301", "\u00e9"]],
    ["blanks within", ["Domain Admins"], ["Domain Admins"]],
    ["slashes and percent signs", ["/a/b", "%41"], ["/a/b", "%41"]],
  ])("are %s", (_what, value, groups) => {
    expect(subject({ sub: "jane", groups: value }).groups).toEqual(groups);
  });

  it("are 10,000, in their order", () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `group-${i}`);
    expect(subject({ sub: "jane", groups: many }).groups).toEqual(many);
  });

  it("are none without the claim", () => {
    expect(subject({ sub: "jane" }).groups).toEqual([]);
  });

  it("are none when no claim is mapped", () => {
    expect(subject({ sub: "jane", groups: ["dev"] }, { groups: undefined }).groups).toEqual([]);
  });

  it("carry the prefix, each", () => {
    const prefixed = { groups: { claim: "groups", prefix: "oidc:" } };
    expect(subject({ sub: "jane", groups: ["dev", "system:masters"] }, prefixed).groups).toEqual([
      "oidc:dev",
      "oidc:system:masters",
    ]);
  });

  it.each(NO_NAMES)("with one that is %s are refused whole", (_what, value) => {
    expect(() => subject({ sub: "jane", groups: ["dev", value] })).toThrow(/claim groups/);
  });

  it("that are a mapping are refused", () => {
    expect(() => subject({ sub: "jane", groups: { dev: true } })).toThrow(/claim groups/);
  });

  it("that are arrays in an array are refused", () => {
    expect(() => subject({ sub: "jane", groups: [["system:masters"]] })).toThrow(/claim groups/);
  });

  it.each(SYSTEM_NAMES)("with %j are refused whole", (group) => {
    expect(() => subject({ sub: "jane", groups: ["dev", group] })).toThrow(/system:/);
  });

  it("whose prefix makes a system name are refused", () => {
    const prefixed = { groups: { claim: "groups", prefix: "system:" } };
    expect(() => subject({ sub: "jane", groups: ["masters"] }, prefixed)).toThrow(/system:/);
  });

  it("that are only a link are refused with what to do", () => {
    const overage = {
      _claim_names: { groups: "src1" },
      _claim_sources: { src1: { endpoint: "https://graph.example.com/getMemberObjects" } },
    };
    expect(() => subject({ sub: "jane", ...overage })).toThrow(/too many groups.*assigned to the application/);
  });

  it("count although another claim is only a link", () => {
    expect(subject({ sub: "jane", groups: ["dev"], _claim_names: { roles: "src1" } }).groups).toEqual(["dev"]);
    expect(subject({ sub: "jane", _claim_names: { roles: "src1" } }).groups).toEqual([]);
  });

  it.each([["text"], [null], [7]])("are none when _claim_names is %j", (links) => {
    expect(subject({ sub: "jane", _claim_names: links }).groups).toEqual([]);
  });
});

describe("a rule on a claim", () => {
  const rules = { requiredClaims: [{ claim: "hd", value: "example.com" }] };

  it("lets a token with just this value pass", () => {
    expect(subject({ sub: "jane", hd: "example.com" }, rules).user).toBe("jane");
  });

  it.each([
    ["missing", {}],
    ["another value", { hd: "evil.example" }],
    ["another case", { hd: "Example.com" }],
    ["a trailing blank", { hd: "example.com " }],
    ["an array with the value", { hd: ["example.com"] }],
    ["a mapping", { hd: { value: "example.com" } }],
    ["null", { hd: null }],
  ])("refuses %s, with the claim's name and not its value", (_what, claims) => {
    const refused = () => subject({ sub: "jane", ...claims }, rules);
    expect(refused).toThrow(/claim hd/);
    expect(refused).not.toThrow(/evil/);
  });

  it("takes a number or a truth value for no text", () => {
    const typed = { requiredClaims: [{ claim: "admin", value: "true" }] };
    expect(() => subject({ sub: "jane", admin: true }, typed)).toThrow(/claim admin/);
  });

  it("counts each, when there are several", () => {
    const both = { requiredClaims: [...rules.requiredClaims, { claim: "env", value: "prod" }] };
    expect(() => subject({ sub: "jane", hd: "example.com" }, both)).toThrow(/claim env/);
    expect(subject({ sub: "jane", hd: "example.com", env: "prod" }, both).user).toBe("jane");
  });
});

describe("a subject's uid", () => {
  const mapped = { uid: { claim: "oid", prefix: "" } };

  it("is none when no claim is mapped", () => {
    expect(subject({ sub: "jane", oid: "42" }).uid).toBeUndefined();
  });

  it("is the claim's value", () => {
    expect(subject({ sub: "jane", oid: "4a5c-42" }, mapped).uid).toBe("4a5c-42");
  });

  it("that is mapped and missing refuses the token", () => {
    expect(() => subject({ sub: "jane" }, mapped)).toThrow(/claim oid/);
  });

  it.each(NO_NAMES)("that is %s is refused", (_what, value) => {
    expect(() => subject({ sub: "jane", oid: value }, mapped)).toThrow(/claim oid/);
  });

  it("that is a system name is refused", () => {
    expect(() => subject({ sub: "jane", oid: "system:masters" }, mapped)).toThrow(/system:/);
  });
});

it("a subject ends when its token does", () => {
  expect(subject({ sub: "jane" }).expiresAtMs).toBe(EXP * 1000);
});
