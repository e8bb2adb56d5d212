import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { CertificateAuthority } from "@fairlead/certificates";
import { fc, fuzz, mutatedText } from "@fairlead/fuzzing";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { exportPKCS8, type JWK } from "jose";
import { AUDIENCE, IssuerFixture, type SigningKey, signingKey } from "./issuer-fixture.ts";
import { base64url, objectText } from "./json-text-fixture.ts";
import type { Subject } from "./subject.ts";
import { bearerToken, TokenVerifier } from "./token-verifier.ts";

const ALGORITHMS = ["EdDSA", "ES256", "RS256"];
const TOLERANCE_SECONDS = 31;
const foreign = generateKeyPairSync("ed25519");

let issuer: IssuerFixture;
let keys: SigningKey[];
let judge: TokenVerifier;

beforeAll(async () => {
  const authority = await CertificateAuthority.create("test issuers", 1);
  const tls = await authority.issue({ commonName: "issuer", hosts: ["127.0.0.1"], days: 1 });
  keys = await Promise.all(ALGORITHMS.map((alg) => signingKey(alg, `key-${alg}`)));
  issuer = await IssuerFixture.start(tls, authority.pem, keys);
  judge = new TokenVerifier([issuer.configuration()], Hop.IDENTITY_PROXY);
});
afterAll(() => issuer.close());

/** Who a token is taken for; undefined if it is refused as it must be. @throws whatever else it ends with */
async function judged(token: string): Promise<Subject | undefined> {
  try {
    return await judge.verify(token);
  } catch (error) {
    const isRefusal = error instanceof FairleadError && error.code === ErrorCode.TOKEN_REFUSED;
    if (isRefusal && error.hop === Hop.IDENTITY_PROXY) return undefined;
    throw error;
  }
}

const now = (): number => Math.floor(Date.now() / 1_000);

/** What a header may say to be taken for more than it is. */
const HEADERS = {
  alg: [
    '"none"',
    '"None"',
    '"NONE"',
    '"HS256"',
    '"HS512"',
    '"ES256"',
    '"RS256"',
    '"PS256"',
    '"EdDSA"',
    '"ES256K"',
    '"dir"',
    '["EdDSA"]',
  ],
  kid: [
    ...ALGORITHMS.map((alg) => `"key-${alg}"`),
    '"../../../dev/null"',
    '"/dev/null"',
    '"\' OR 1=1 --"',
    '"unknown"',
  ],
  jku: ['"https://evil.example/keys"', '"file:///etc/passwd"'],
  x5u: ['"https://evil.example/cert"'],
  x5c: ['["MAA="]'],
  jwk: [JSON.stringify(foreign.publicKey.export({ format: "jwk" })), '{"kty":"oct","k":"AA"}'],
  crit: ['["b64"]', '["exp"]', "[]", '["alg"]', '["urn:example:must"]'],
  b64: ["false", "true"],
  zip: ['"DEF"'],
  enc: ['"A256GCM"'],
  typ: ['"JWT"', '"at+jwt"', '"dpop+jwt"', '"JWE"'],
  cty: ['"JWT"'],
};

/** The text of claims, most of which would be taken if it was the issuer's. */
function claimTexts(usual: Record<string, string> = {}): fc.Arbitrary<string> {
  const [url, at] = [JSON.stringify(issuer.url), now()];
  return objectText(
    { iss: url, aud: `"${AUDIENCE}"`, sub: '"root"', iat: `${at}`, exp: `${at + 3_600}`, ...usual },
    {
      iss: ['"https://evil.example"', `[${url}]`],
      aud: ['"other"', `["other","${AUDIENCE}"]`],
      sub: ['"system:admin"', '" root"', '"ro\\u0000ot"', '"r\\u00f6\\u00f6t"', '["root"]', '{"toString":"root"}'],
      groups: ['["dev","ops"]', '"dev"', '["system:masters"]', '["dev",7]', '["dev","dev"]', '["a\\nb"]'],
      exp: [`${at - 100}`, `"${at + 3_600}"`, "9007199254740993"],
      iat: [`${at + 100}`, `"${at}"`],
      nbf: [`${at + 100}`, `${at - 100}`],
      cnf: ['{"jkt":"a"}', '{"jkt":7}', "[]"],
      _claim_names: ['{"groups":"src1"}'],
    },
  );
}

describe("a good token that was changed", () => {
  const PIECES = [
    ".",
    "..",
    "=",
    "==",
    "A",
    "-",
    "+",
    "/",
    " ",
    "\n",
    "e30",
    "e30.",
    "bnVsbA",
    ".e30".repeat(50),
    "A".repeat(300_000),
  ];

  it("is refused, or speaks for the same subject as before", async () => {
    const good = await Promise.all(keys.map((key) => issuer.token({ groups: ["dev"] }, {}, key)));
    let refused = 0;
    const property = fc.asyncProperty(mutatedText(fc.constantFrom(...good), PIECES), async (token) => {
      const subject = await judged(token);
      if (subject === undefined) refused++;
      else expect(subject).toMatchObject({ user: "jane", groups: ["dev"], uid: undefined });
    });
    await fuzz(600, property);
    expect(refused).toBeGreaterThan(300);
  });

  it("in what its header or its claims say is refused", async () => {
    const good = await Promise.all(keys.map((key) => issuer.token({ groups: ["dev"] }, {}, key)));
    const parts = good.map((token) =>
      token.split(".").map((part) => Buffer.from(part, "base64url").toString("latin1")),
    );
    const pieces = ['"alg":"none",', ',"sub":"root"', "[", "{", "}", '"', "\\", "null", "HS256", "root", "dev", "ops"];
    const changed = fc
      .constantFrom(...parts)
      .chain(([header = "", claims = "", signature = ""]) =>
        fc.oneof(
          fc.tuple(mutatedText(fc.constant(header), pieces), fc.constant(claims), fc.constant(signature)),
          fc.tuple(fc.constant(header), mutatedText(fc.constant(claims), pieces), fc.constant(signature)),
        ),
      );
    const property = fc.asyncProperty(changed, async (texts) => {
      const token = texts.map((text) => Buffer.from(text, "latin1").toString("base64url")).join(".");
      const subject = await judged(token);
      expect([subject?.user, good.includes(token)]).toEqual(good.includes(token) ? ["jane", true] : [undefined, false]);
    });
    await fuzz(600, property);
  });
});

describe("a token that the issuer did not sign", () => {
  it("is refused, whatever its header says of how to verify it", async () => {
    const secrets = [Buffer.alloc(0), Buffer.from("secret"), ...keys.flatMap(({ jwk }) => formsOf(jwk))];
    const [own = ""] = (await issuer.token()).split(".").slice(2);
    const signatures = fc.oneof(
      fc.constantFrom("", own, "AA"),
      fc.uint8Array({ minLength: 64, maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString("base64url")),
      fc.constant("foreign" as const),
      fc.tuple(fc.constantFrom("sha256", "sha512"), fc.constantFrom(...secrets)),
    );
    const headers = objectText({ alg: '"EdDSA"', kid: '"key-EdDSA"' }, HEADERS);
    const property = fc.asyncProperty(headers, claimTexts(), signatures, async (header, claims, how) => {
      const input = `${base64url(header)}.${base64url(claims)}`;
      const signature =
        typeof how !== "string"
          ? createHmac(how[0], how[1]).update(input).digest("base64url")
          : how === "foreign"
            ? sign(null, Buffer.from(input), foreign.privateKey).toString("base64url")
            : how;
      expect(await judged(`${input}.${signature}`)).toBeUndefined();
    });
    await fuzz(800, property);
    expect(issuer.asked.every((path) => /^\/(\.well-known\/openid-configuration|keys)$/.test(path))).toBe(true);
  });
});

describe("a token that the issuer signed", () => {
  it("speaks for whom its claims name, in its time and for its audience, or is refused", async () => {
    const key = await ed25519Of(keys);
    const seen = { taken: 0, refused: 0 };
    const headers = objectText(
      { alg: '"EdDSA"', kid: '"key-EdDSA"' },
      { typ: HEADERS.typ, crit: HEADERS.crit, b64: HEADERS.b64 },
    );
    const property = fc.asyncProperty(headers, claimTexts({ groups: '["dev"]' }), async (header, text) => {
      const input = `${base64url(header)}.${base64url(text)}`;
      const subject = await judged(`${input}.${sign(null, Buffer.from(input), key).toString("base64url")}`);
      if (subject === undefined) {
        seen.refused++;
        return;
      }
      const claims = JSON.parse(Buffer.from(text).toString());
      expect([claims.aud].flat()).toContain(AUDIENCE);
      expect(claims).toMatchObject({ iss: issuer.url, sub: subject.user });
      expect(claims.exp).toBeGreaterThan(now() - TOLERANCE_SECONDS);
      expect(Math.max(claims.iat, claims.nbf ?? 0)).toBeLessThan(now() + TOLERANCE_SECONDS);
      expect(subject.expiresAtMs).toBe(claims.exp * 1_000);
      expect(subject.groups).toEqual([...new Set([claims.groups ?? []].flat())]);
      for (const name of [subject.user, ...subject.groups])
        expect(name).toMatch(/^(?!system:)[^\p{Cc}\s](?:[^\p{Cc}]*[^\p{Cc}\s])?$/u);
      if (claims.cnf?.jkt !== undefined) expect(subject.keyThumbprint).toBe(claims.cnf.jkt);
      seen.taken++;
    });
    await fuzz(800, property);
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(100);
  });
});

describe("any Authorization header", () => {
  it("has a token without blanks or control characters, or none", async () => {
    const values = mutatedText(fc.constantFrom("Bearer abc.def.ghi", "bearer x", "Basic abc"), [
      " ",
      "\t",
      ",",
      "Bearer ",
      "\r\n",
    ]);
    const property = fc.property(values, (value) => {
      const token = bearerToken(value);
      if (token === undefined) return;
      expect(token).toMatch(/^[!-~]+$/);
      expect(value.trim().endsWith(` ${token}`)).toBe(true);
    });
    await fuzz(1_000, property);
  });
});

/** What a forger could take for a shared secret: a public key, in each of its forms. */
function formsOf(jwk: JWK): Buffer[] {
  const key = createPublicKey({ key: jwk as Record<string, string>, format: "jwk" });
  const pem = key.export({ type: "spki", format: "pem" }).toString();
  const texts = [pem, pem.trim(), JSON.stringify(jwk), jwk.n ?? jwk.x ?? ""];
  return [...texts.map((text) => Buffer.from(text)), key.export({ type: "spki", format: "der" })];
}

/** The issuer's own key, to sign texts that no library would. */
async function ed25519Of(all: readonly SigningKey[]): Promise<KeyObject> {
  const key = all.find(({ alg }) => alg === "EdDSA");
  if (key === undefined) throw new Error("the issuer has such a key");
  return createPrivateKey(await exportPKCS8(key.privateKey));
}
