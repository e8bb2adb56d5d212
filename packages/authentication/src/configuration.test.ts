import { CertificateAuthority } from "@fairlead/certificates";
import { describe, expect, it } from "@jest/globals";
import { stringify } from "yaml";
import { parseAuthenticationConfiguration } from "./configuration.ts";

const authority = await CertificateAuthority.create("test issuers", 1);

type Fields = Record<string, unknown>;

/** An entry of `jwt` that is accepted, with changes by section; `undefined` takes a field out. */
function entry(issuer: Fields = {}, mappings: Fields = {}, rest: Fields = {}): Fields {
  return {
    issuer: { url: "https://issuer.example.com", audiences: ["fairlead"], ...issuer },
    claimMappings: { username: { claim: "sub", prefix: "oidc:" }, ...mappings },
    ...rest,
  };
}

/** The text of a file with these entries. */
function file(jwt: unknown, root: Fields = {}): string {
  return stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt, ...root });
}

const parse = parseAuthenticationConfiguration;

describe("the AuthenticationConfiguration that is accepted", () => {
  it("gives every field of an issuer", () => {
    const full = entry(
      {
        discoveryURL: "https://internal.example.com/.well-known/openid-configuration",
        certificateAuthority: authority.pem,
        audiences: ["fairlead", "kubernetes"],
        audienceMatchPolicy: "MatchAny",
      },
      { groups: { claim: "groups", prefix: "oidc:" }, uid: { claim: "oid" } },
      { claimValidationRules: [{ claim: "hd", requiredValue: "example.com" }] },
    );
    expect(parse(file([full]))).toEqual([
      {
        url: "https://issuer.example.com",
        discoveryUrl: "https://internal.example.com/.well-known/openid-configuration",
        certificateAuthority: authority.pem,
        audiences: ["fairlead", "kubernetes"],
        username: { claim: "sub", prefix: "oidc:" },
        groups: { claim: "groups", prefix: "oidc:" },
        uid: { claim: "oid", prefix: "" },
        extra: [],
        requiredClaims: [{ claim: "hd", value: "example.com" }],
        claimRules: [],
        userRules: [],
      },
    ]);
  });

  it("needs no more than issuer, audience and user name", () => {
    expect(parse(file([entry()]))).toEqual([
      {
        url: "https://issuer.example.com",
        discoveryUrl: undefined,
        certificateAuthority: undefined,
        audiences: ["fairlead"],
        username: { claim: "sub", prefix: "oidc:" },
        groups: undefined,
        uid: undefined,
        extra: [],
        requiredClaims: [],
        claimRules: [],
        userRules: [],
      },
    ]);
  });

  it("keeps several issuers in their order", () => {
    const urls = ["https://b.example.com", "https://a.example.com", "https://c.example.com/tenant"];
    expect(parse(file(urls.map((url) => entry({ url })))).map((issuer) => issuer.url)).toEqual(urls);
  });

  it("takes the empty prefix where it is said", () => {
    const [issuer] = parse(file([entry({}, { username: { claim: "sub", prefix: "" } })]));
    expect(issuer?.username).toEqual({ claim: "sub", prefix: "" });
  });

  it.each(["example.com/team", "a.b/c", "example.com/a/b", "x-1.example.com/a-b_c.d~!$&'()*+,;=:@", "notk8s.io/a"])(
    "takes the extra's key %s",
    (key) => {
      const [issuer] = parse(file([entry({}, { extra: [{ key, valueExpression: "claims.a" }] })]));
      expect(issuer?.extra).toMatchObject([{ key }]);
    },
  );

  it.each([[undefined], [""], ["MatchAny"]])(
    "takes the audience policy %j with one audience",
    (audienceMatchPolicy) => {
      expect(parse(file([entry({ audienceMatchPolicy })]))).toHaveLength(1);
    },
  );
});

describe("the AuthenticationConfiguration that is refused, by the field that is wrong", () => {
  const at = "jwt\\[0\\]";
  const refused: [what: string, text: string, names: string][] = [
    ["an empty file", "", "the file"],
    ["a file that is a list", "- a", "the file"],
    ["a file that is a text", "hello", "the file"],
    ["another kind", file([entry()], { kind: "Config" }), "AuthenticationConfiguration"],
    ["no kind", file([entry()], { kind: undefined }), "AuthenticationConfiguration"],
    ["a beta version", file([entry()], { apiVersion: "apiserver.config.k8s.io/v1beta1" }), "config.k8s.io/v1"],
    ["an unknown key of the file", file([entry()], { anonymous: { enabled: true } }), "the file\\.anonymous"],
    ["no jwt", file(undefined), "jwt: a list"],
    ["jwt that is a mapping", file(entry()), "jwt: a list"],
    ["no issuer at all", file([]), "jwt: name at least one"],
    ["an entry that is a text", file(["x"]), `${at}: a mapping`],
    ["an unknown key of an entry", file([entry({}, {}, { userRules: [] })]), `${at}\\.userRules`],
    ["no issuer in an entry", file([{ claimMappings: {} }]), `${at}\\.issuer: a mapping`],
    ["an unknown key of an issuer", file([entry({ egressSelectorType: "cluster" })]), `${at}\\.issuer\\.egress`],
    ["no URL", file([entry({ url: undefined })]), `${at}\\.issuer\\.url`],
    ["an http URL", file([entry({ url: "http://issuer.example.com" })]), `${at}\\.issuer\\.url: an https`],
    ["a URL that is none", file([entry({ url: "issuer.example.com" })]), `${at}\\.issuer\\.url: an https`],
    ["a URL that is a number", file([entry({ url: 7 })]), `${at}\\.issuer\\.url: a text`],
    ["an http discovery URL", file([entry({ discoveryURL: "http://x" })]), `${at}\\.issuer\\.discoveryURL: an https`],
    ["an empty discovery URL", file([entry({ discoveryURL: "" })]), `${at}\\.issuer\\.discoveryURL`],
    ["an authority that is a list", file([entry({ certificateAuthority: ["x"] })]), `${at}\\.issuer\\.certificateAuth`],
    ["an empty authority", file([entry({ certificateAuthority: "" })]), `${at}\\.issuer\\.certificateAuthority`],
    ["no audiences", file([entry({ audiences: undefined })]), `${at}\\.issuer\\.audiences`],
    ["an empty list of audiences", file([entry({ audiences: [] })]), `${at}\\.issuer\\.audiences`],
    ["an empty audience", file([entry({ audiences: ["fairlead", ""] })]), `${at}\\.issuer\\.audiences`],
    ["an audience that is a text, not a list", file([entry({ audiences: "fairlead" })]), `${at}\\.issuer\\.audiences`],
    ["an audience policy of its own", file([entry({ audienceMatchPolicy: "MatchAll" })]), "audienceMatchPolicy"],
    ["several audiences without policy", file([entry({ audiences: ["a", "b"] })]), "with several audiences it must be"],
    [
      "several audiences with the empty policy",
      file([entry({ audiences: ["a", "b"], audienceMatchPolicy: "" })]),
      "with several audiences it must be",
    ],
    ...["https://jane:pw@x.example", "https://jane@x.example", "https://x.example?a=b", "https://x.example/#a"].flatMap(
      (url): [string, string, string][] => [
        [`a URL with more than a place: ${url}`, file([entry({ url })]), `${at}\\.issuer\\.url: no user`],
        [`a discovery URL with more: ${url}`, file([entry({ discoveryURL: url })]), `discoveryURL: no user`],
      ],
    ),
    [
      "a discovery URL that is the issuer's own",
      file([entry({ discoveryURL: "https://issuer.example.com" })]),
      `${at}\\.issuer\\.discoveryURL: leave it out`,
    ],
    [
      "two issuers with one discovery URL",
      file(
        ["https://a.example", "https://b.example"].map((url) => entry({ url, discoveryURL: "https://d.example/o" })),
      ),
      "the discoveryURL https://d\\.example/o is there twice",
    ],
    ...[
      ["a file's name", "/etc/kubernetes/pki/oidc-ca.crt"],
      ["only begun", "-----BEGIN CERTIFICATE-----"],
      ["a private key", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----"],
    ].map(([what, certificateAuthority]): [string, string, string] => [
      `an authority that is ${what}`,
      file([entry({ certificateAuthority })]),
      `${at}\\.issuer\\.certificateAuthority: a certificate in PEM`,
    ]),
    ["no claim mappings", file([{ issuer: entry().issuer }]), `${at}\\.claimMappings: a mapping`],
    ["an unknown mapping", file([entry({}, { extras: [] })]), `${at}\\.claimMappings\\.extras`],
    ["no user name", file([entry({}, { username: undefined })]), `${at}\\.claimMappings\\.username`],
    [
      "an expression beside a claim",
      file([entry({}, { username: { claim: "sub", prefix: "", expression: "x" } })]),
      `${at}\\.claimMappings\\.username\\.expression`,
    ],
    ["a user name without prefix", file([entry({}, { username: { claim: "sub" } })]), "username\\.prefix"],
    ["a prefix that is null", file([entry({}, { username: { claim: "sub", prefix: null } })]), "username\\.prefix"],
    ["a user name without claim", file([entry({}, { username: { prefix: "" } })]), "username\\.claim"],
    ["groups without prefix", file([entry({}, { groups: { claim: "groups" } })]), "groups\\.prefix"],
    ["groups without claim", file([entry({}, { groups: { prefix: "" } })]), "groups\\.claim"],
    ["groups that are null", file([entry({}, { groups: null })]), `${at}\\.claimMappings\\.groups: a mapping`],
    ["a uid that is a text", file([entry({}, { uid: "oid" })]), `${at}\\.claimMappings\\.uid: a mapping`],
    ["a prefix for the uid", file([entry({}, { uid: { claim: "oid", prefix: "" } })]), "uid\\.prefix"],
    ["rules that are a mapping", file([entry({}, {}, { claimValidationRules: {} })]), "claimValidationRules: a list"],
    [
      "a rule without value",
      file([entry({}, {}, { claimValidationRules: [{ claim: "hd" }] })]),
      "claimValidationRules\\[0\\]\\.requiredValue",
    ],
    [
      "a rule whose value is no text",
      file([entry({}, {}, { claimValidationRules: [{ claim: "admin", requiredValue: true }] })]),
      "claimValidationRules\\[0\\]\\.requiredValue",
    ],
    [
      "a rule without claim, behind a good one",
      file([entry({}, {}, { claimValidationRules: [{ claim: "a", requiredValue: "b" }, { requiredValue: "c" }] })]),
      "claimValidationRules\\[1\\]\\.claim",
    ],
    [
      "an expression that is none",
      file([entry({}, { username: { expression: "claims." } })]),
      `${at}\\.claimMappings\\.username\\.expression: Expected`,
    ],
    [
      "an expression of another type",
      file([entry({}, { groups: { expression: "true" } })]),
      `${at}\\.claimMappings\\.groups\\.expression: a text or a list of texts is due, not bool`,
    ],
    [
      "an expression of the user in a rule on claims",
      file([entry({}, {}, { claimValidationRules: [{ expression: "user.username == 'a'" }] })]),
      "claimValidationRules\\[0\\]\\.expression: Unknown variable: user",
    ],
    [
      "a rule by claim and by expression",
      file([entry({}, {}, { claimValidationRules: [{ claim: "a", expression: "true" }] })]),
      "claimValidationRules\\[0\\]\\.expression: not beside",
    ],
    [
      "a message without expression",
      file([entry({}, {}, { claimValidationRules: [{ claim: "a", requiredValue: "b", message: "c" }] })]),
      "claimValidationRules\\[0\\]\\.message",
    ],
    [
      "a rule on the user by claim",
      file([entry({}, {}, { userValidationRules: [{ claim: "a", requiredValue: "b" }] })]),
      "userValidationRules\\[0\\]\\.claim",
    ],
    [
      "a rule on the user without expression",
      file([entry({}, {}, { userValidationRules: [{ message: "a" }] })]),
      "userValidationRules\\[0\\]\\.expression",
    ],
    [
      "a user name by an e-mail address that nobody need have verified",
      file([entry({}, { username: { expression: "claims.email" } })]),
      "username\\.expression: it uses claims\\.email, so some expression must use claims\\.email_verified",
    ],
    ...[
      "team",
      "Example.com/team",
      "example.com/",
      "/team",
      "example.com/Team",
      "example.com/a b",
      `a.b/${"x".repeat(253)}`,
    ].map((key): [string, string, string] => [
      `an extra's key that is none: ${key.slice(0, 30)}`,
      file([entry({}, { extra: [{ key, valueExpression: "claims.a" }] })]),
      `${at}\\.claimMappings\\.extra\\[0\\]\\.key: DOMAIN`,
    ]),
    ...["kubernetes.io/a", "authentication.kubernetes.io/a", "k8s.io/a", "x.k8s.io/a", "fairlead.dev/relay"].map(
      (key): [string, string, string] => [
        `an extra's key of somebody else's: ${key}`,
        file([entry({}, { extra: [{ key, valueExpression: "claims.a" }] })]),
        `${at}\\.claimMappings\\.extra\\[0\\]\\.key: the domains`,
      ],
    ),
    [
      "an extra's key twice",
      file([entry({}, { extra: ["a", "b"].map((c) => ({ key: "example.com/t", valueExpression: `claims.${c}` })) })]),
      "example\\.com/t is there twice",
    ],
    [
      "an extra without expression",
      file([entry({}, { extra: [{ key: "example.com/t" }] })]),
      "valueExpression: a text",
    ],
    ["the same issuer twice", file([entry(), entry({ audiences: ["other"] })]), "https://issuer.example.com is there"],
    ["a fault in the second entry", file([entry(), entry({ url: "http://x" })]), "jwt\\[1\\]\\.issuer\\.url"],
    ["a key twice in a mapping", "kind: A\nkind: B", "unique"],
    ["what is no YAML", "jwt: [", ""],
    ["two documents", `${file([entry()])}---\n${file([entry()])}`, ""],
    ["a prototype for the file", `__proto__: {}\n${file([entry()])}`, "the file\\.__proto__"],
  ];

  it.each(refused)("%s", (_what, text, names) => {
    expect(() => parse(text)).toThrow(new RegExp(names));
  });
});
