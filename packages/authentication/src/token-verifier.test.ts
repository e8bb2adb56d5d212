import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, errorMapping, FairleadError, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { EncryptJWT, exportSPKI, importJWK, UnsecuredJWT } from "jose";
import { Expression } from "./cel/expression.ts";
import { setClock } from "./clock-fixture.ts";
import type { IssuerConfiguration } from "./configuration.ts";
import { AUDIENCE, CANARY, IssuerFixture, type SigningKey, sendJson, signingKey } from "./issuer-fixture.ts";
import { bearerToken, TokenVerifier } from "./token-verifier.ts";

const ALGORITHMS = ["ES256", "RS256", "PS256", "ES384", "ES512", "EdDSA"];

let authority: CertificateAuthority;
let tls: { cert: string; key: string };
let keys: SigningKey[];
let foreign: SigningKey;
let issuer: IssuerFixture;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  authority = await CertificateAuthority.create("test issuers", 1);
  tls = await authority.issue({ commonName: "issuer", hosts: ["127.0.0.1"], days: 1 });
  keys = await Promise.all(ALGORITHMS.map((alg) => signingKey(alg, `key-${alg}`)));
  foreign = await signingKey("ES256", "key-ES256");
});

beforeEach(async () => {
  issuer = await startIssuer();
});

afterEach(async () => {
  jest.useRealTimers();
  await Promise.all(open.splice(0).map((server) => server.close()));
});

async function startIssuer(published = keys): Promise<IssuerFixture> {
  const started = await IssuerFixture.start(tls, authority.pem, published);
  open.push(started);
  return started;
}

function verifier(...configurations: IssuerConfiguration[]): TokenVerifier {
  return new TokenVerifier(configurations.length > 0 ? configurations : [issuer.configuration()], Hop.IDENTITY_PROXY);
}

/** The error of a token that is not taken. No part of the token may be in it. */
async function refusal(judge: TokenVerifier, token: string | undefined): Promise<FairleadError> {
  const error = await judge.verify(token).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof FairleadError)) throw new Error(`not refused, but: ${error}`);
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const told = `${at.message}\n${at.stack}`;
    expect(told).not.toContain(CANARY);
    for (const part of (token ?? "").split(".")) if (part.length > 8) expect(told).not.toContain(part);
  }
  return error;
}

const TOKEN_REFUSED = { code: ErrorCode.TOKEN_REFUSED, hop: Hop.IDENTITY_PROXY };
const ISSUER_UNAVAILABLE = { code: ErrorCode.ISSUER_UNAVAILABLE, hop: Hop.IDENTITY_PROXY };
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("a good token", () => {
  it.each(ALGORITHMS)("signed with %s is taken", async (alg) => {
    const key = keys.find((candidate) => candidate.alg === alg);
    const token = await issuer.token({ groups: ["dev"] }, {}, key);
    expect(await verifier().verify(token)).toEqual({
      user: "jane",
      groups: ["dev"],
      uid: undefined,
      expiresAtMs: expect.any(Number),
    });
  });

  it("needs no key id when only one key fits", async () => {
    const token = await issuer.token({}, { kid: undefined });
    expect((await verifier().verify(token)).user).toBe("jane");
  });

  it("may be for several audiences", async () => {
    const token = await issuer.token({ aud: ["other", AUDIENCE] });
    expect((await verifier().verify(token)).user).toBe("jane");
  });

  it("is for any one of the configured audiences", async () => {
    const judge = verifier(issuer.configuration({ audiences: ["kubernetes", AUDIENCE] }));
    expect((await judge.verify(await issuer.token())).user).toBe("jane");
  });

  it("may be of an issuer whose URL ends in a slash", async () => {
    issuer.answerDiscovery((response) =>
      sendJson(response, { issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/keys` }),
    );
    const judge = verifier(issuer.configuration({ url: `${issuer.url}/` }));
    expect((await judge.verify(await issuer.token({ iss: `${issuer.url}/` }))).user).toBe("jane");
    expect(issuer.asked).toEqual(["/.well-known/openid-configuration", "/keys"]);
  });

  it("may be of an issuer whose discovery document lies elsewhere", async () => {
    issuer.answers.set("/elsewhere", (response) =>
      sendJson(response, { issuer: "https://issuer.example.com", jwks_uri: `${issuer.url}/keys` }),
    );
    const judge = verifier(
      issuer.configuration({ url: "https://issuer.example.com", discoveryUrl: `${issuer.url}/elsewhere` }),
    );
    expect((await judge.verify(await issuer.token({ iss: "https://issuer.example.com" }))).user).toBe("jane");
  });

  it.each<[what: string, claims: () => Record<string, unknown>]>([
    ["expired 20 s ago", () => ({ exp: inSeconds(-20) })],
    ["valid in 20 s", () => ({ nbf: inSeconds(20) })],
    ["issued 20 s from now", () => ({ iat: inSeconds(20) })],
  ])("that was %s is taken: clocks differ by up to 30 s", async (_what, claims) => {
    expect((await verifier().verify(await issuer.token(claims()))).user).toBe("jane");
  });

  it("may be marked as an access token or not at all: Kubernetes looks at no typ", async () => {
    for (const typ of ["JWT", "at+jwt", undefined]) {
      expect((await verifier().verify(await issuer.token({}, { typ }))).user).toBe("jane");
    }
  });

  it("counts at each of two issuers, by the issuer's own keys", async () => {
    const other = await startIssuer([foreign]);
    const judge = verifier(
      issuer.configuration({ username: { claim: "sub", prefix: "a:" } }),
      other.configuration({ username: { claim: "sub", prefix: "b:" } }),
    );
    expect((await judge.verify(await issuer.token())).user).toBe("a:jane");
    expect((await judge.verify(await other.token())).user).toBe("b:jane");
  });
});

describe("a token that is refused with 401", () => {
  const cases: [what: string, make: () => Promise<string> | string | undefined, says: RegExp][] = [
    ["none", () => undefined, /no token; sign in/],
    ["empty", () => "", /no token; sign in/],
    [
      "expired",
      () => issuer.token({ exp: inSeconds(-31) }),
      /has expired, 3[12] s ago by this machine's clock; get a new one$/,
    ],
    ["expired for long", () => issuer.token({ exp: 1 }), /expired/],
    ["without expiry", () => issuer.token({ exp: undefined }), /claim exp/],
    ["with an expiry that is a text", () => issuer.token({ exp: "2040-01-01" as never }), /claim exp|not a valid JWT/],
    [
      "not valid yet",
      () => issuer.token({ nbf: inSeconds(40) }),
      /not valid yet, for another (39|40) s: check this machine's clock/,
    ],
    ["valid from a time that is a text", () => issuer.token({ nbf: "tomorrow" as never }), /claim nbf|not a valid JWT/],
    [
      "issued in the future",
      () => issuer.token({ iat: inSeconds(40) }),
      /issued (39|40) s in the future: check this machine's clock and the issuer's$/,
    ],
    ["without time of issue", () => issuer.token({ iat: undefined }), /claim iat/],
    ["for another audience", () => issuer.token({ aud: "other" }), /not for the audience fairlead/],
    ["for other audiences", () => issuer.token({ aud: ["a", "b"] }), /not for the audience fairlead/],
    ["for an audience in another case", () => issuer.token({ aud: "Fairlead" }), /not for the audience/],
    ["without audience", () => issuer.token({ aud: undefined }), /not for the audience/],
    ["for an empty list of audiences", () => issuer.token({ aud: [] }), /not for the audience/],
    ["of another issuer", () => issuer.token({ iss: "https://evil.example" }), /issuer is not one that is configured/],
    ["of the issuer with a slash more", () => issuer.token({ iss: `${issuer.url}/` }), /issuer is not one/],
    ["of no issuer", () => issuer.token({ iss: undefined }), /issuer is not one/],
    ["of a list of issuers", () => issuer.token({ iss: [issuer.url] }), /issuer is not one/],
    ["of the issuer of Object's prototype", () => issuer.token({ iss: "__proto__" }), /issuer is not one/],
    ["with alg none", () => unsecured(), /algorithm is not allowed/],
    ["with alg none in another case", () => unsecured("NoNe"), /algorithm is not allowed/],
    ["with alg none and a signature", async () => `${unsecured()}${(await issuer.token()).split(".")[2]}`, /algorithm/],
    ["signed by HS256 with the public key", () => signedWithPublicKey(), /algorithm is not allowed/],
    ["with an algorithm that nobody knows", () => retold("XS256"), /algorithm/],
    ["with an algorithm that is not its key's", () => retold("RS256"), /does not have|not the issuer's/],
    ["with an unknown critical extension", () => issuer.token({}, critical()), /not a valid JWT/],
    ["with a key id that the issuer does not have", () => issuer.token({}, { kid: "key-x" }), /does not have/],
    ["without key id when several keys fit", () => ambiguous(), /not a valid JWT/],
    ["signed with another's key of the same id", () => issuer.token({}, {}, foreign), /signature is not the issuer's/],
    ["with a changed payload", () => changed(1), /signature is not the issuer's/],
    ["with a changed signature", () => changed(2), /signature is not the issuer's/],
    ["without signature", async () => (await issuer.token()).replace(/[^.]+$/, ""), /signature is not/],
    [
      "with its own key in the header",
      () => issuer.token({}, { jwk: foreign.jwk, kid: "own" }, foreign),
      /does not have/,
    ],
    ["encrypted", () => encrypted(), /not a JWT/],
    ["garbage", () => CANARY.repeat(9), /not a JWT/],
    ["three dots", () => "...", /not a JWT/],
    ["two dots", () => "..", /not a JWT/],
    ["with a payload that is no JSON", () => `${base64url({ alg: "ES256" })}.${CANARY}.sig`, /not a JWT/],
    ["with a payload that is a list", () => `${base64url({ alg: "ES256" })}.${base64url([CANARY])}.sig`, /not a JWT/],
    ["with a header that is no JSON", () => `${CANARY}.${base64url({ iss: issuer.url })}.sig`, /not a valid JWT/],
    [
      "with a header without algorithm",
      () => `${base64url({})}.${base64url({ iss: issuer.url })}.sig`,
      /not a valid JWT/,
    ],
    ["not base64", () => `${base64url({ alg: "ES256" })}.${"ü".repeat(20)}.sig`, /not a JWT/],
    ["huge", () => "x".repeat(300_000), /too long/],
    ["huge and otherwise good", () => issuer.token({ pad: "x".repeat(256 * 1024) }), /too long/],
    ["without user name", () => issuer.token({ sub: undefined }), /claim sub is missing/],
    ["for a system user", () => issuer.token({ sub: "system:admin" }), /system:/],
    ["for a system group", () => issuer.token({ groups: ["system:masters"] }), /system:/],
    ["with too many groups to list", () => issuer.token({ _claim_names: { groups: "src1" } }), /too many groups/],
  ];

  it.each(cases)("%s", async (_what, make, says) => {
    const token = await make();
    const error = await refusal(verifier(), token);
    expect(error).toMatchObject(TOKEN_REFUSED);
    expect(error.message).toMatch(says);
    expect(errorMapping(error.code).http).toBe(401);
  });

  it("named a key's address in its header: nobody asks there", async () => {
    const evil = await startIssuer([foreign]);
    for (const name of ["jku", "x5u"]) {
      const token = await issuer.token({}, { [name]: `${evil.url}/keys`, kid: "own" }, foreign);
      expect(await refusal(verifier(), token)).toMatchObject(TOKEN_REFUSED);
    }
    expect(evil.asked).toEqual([]);
  });

  it("names one issuer and is signed by another that is configured too", async () => {
    const other = await startIssuer([foreign]);
    const judge = verifier(issuer.configuration(), other.configuration());
    const error = await refusal(judge, await issuer.token({ iss: other.url }));
    expect(error).toMatchObject(TOKEN_REFUSED);
    expect(error.message).toMatch(/signature is not the issuer's/);
  });

  it("is for the audience of the other issuer", async () => {
    const other = await startIssuer([foreign]);
    const judge = verifier(issuer.configuration(), other.configuration({ audiences: ["other"] }));
    expect(await refusal(judge, await other.token())).toMatchObject(TOKEN_REFUSED);
  });

  it("lacks a value that the configuration requires", async () => {
    const judge = verifier(issuer.configuration({ requiredClaims: [{ claim: "hd", value: "example.com" }] }));
    expect((await refusal(judge, await issuer.token({ hd: CANARY }))).message).toMatch(/claim hd/);
  });

  it("was one that its issuer's keys cannot be used for: a shared secret among them is never used", async () => {
    const secret = {
      kty: "oct",
      k: Buffer.from("0123456789abcdef0123456789abcdef").toString("base64url"),
      kid: "shared",
    };
    issuer.answerKeys((response) => sendJson(response, { keys: [secret] }));
    const token = hmac(Buffer.from("0123456789abcdef0123456789abcdef"), "shared");
    expect(await refusal(verifier(), token)).toMatchObject(TOKEN_REFUSED);
  });
});

describe("an issuer's keys", () => {
  it("are fetched once for many tokens, at the same time too", async () => {
    const judge = verifier();
    const tokens = await Promise.all(Array.from({ length: 50 }, (_, i) => issuer.token({ sub: `user-${i}` })));
    await Promise.all(tokens.map((token) => judge.verify(token)));
    expect(issuer.asked).toEqual(["/.well-known/openid-configuration", "/keys"]);
  });

  it("are not fetched for tokens of other issuers", async () => {
    await refusal(verifier(), await issuer.token({ iss: "https://evil.example" }));
    await refusal(verifier(), "garbage");
    expect(issuer.asked).toEqual([]);
  });

  it("are not fetched again by a flood of unknown key ids", async () => {
    const judge = verifier();
    await judge.verify(await issuer.token());
    for (let i = 0; i < 100; i++) await refusal(judge, await issuer.token({}, { kid: `unknown-${i}` }));
    expect(issuer.keyFetches).toBe(1);
    setClock(31_000);
    for (let i = 0; i < 100; i++) await refusal(judge, await issuer.token({}, { kid: `unknown-${i}` }));
    expect(issuer.keyFetches).toBe(2);
  });

  it("are not asked for without pause by a flood of unknown key ids while the issuer fails", async () => {
    const judge = verifier();
    await judge.verify(await issuer.token());
    issuer.answerKeys((response) => response.writeHead(500).end());
    setClock(31_000);
    for (let i = 0; i < 100; i++) {
      expect(await refusal(judge, await issuer.token({}, { kid: `unknown-${i}` }))).toMatchObject(ISSUER_UNAVAILABLE);
    }
    expect(issuer.keyFetches).toBe(2);
  });

  it("are not asked for without pause when the issuer has failed from the start", async () => {
    const judge = verifier();
    issuer.answerDiscovery((response) => response.writeHead(500).end());
    setClock(0);
    for (let i = 0; i < 100; i++) expect(await refusal(judge, await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    expect(issuer.asked).toEqual(["/.well-known/openid-configuration"]);
  });

  it("may be new: a token of a new key is taken after the pause", async () => {
    const judge = verifier();
    await judge.verify(await issuer.token());
    const fresh = await signingKey("ES256", "fresh");
    issuer.published = [...issuer.published, fresh];
    const token = await issuer.token({}, {}, fresh);
    expect(await refusal(judge, token)).toMatchObject(TOKEN_REFUSED);
    setClock(31_000);
    expect((await judge.verify(token)).user).toBe("jane");
  });

  it("do not count any more within 10 minutes of their being withdrawn", async () => {
    const judge = verifier();
    const token = await issuer.token();
    await judge.verify(token);
    issuer.published = [foreign].map((key) => ({ ...key, kid: "other", jwk: { ...key.jwk, kid: "other" } }));
    setClock(10 * 60_000);
    expect((await refusal(judge, token)).message).toMatch(/key that the issuer does not have/);
  });
});

describe("an issuer that cannot be asked gives 503", () => {
  it("when it is down before its first use; the next token works when it is back", async () => {
    const judge = verifier();
    issuer.goDown();
    const error = await refusal(judge, await issuer.token());
    expect(error).toMatchObject(ISSUER_UNAVAILABLE);
    expect(error.message).toContain(issuer.url);
    expect(error.message).toMatch(/try again when it is back/);
    expect(errorMapping(error.code).http).toBe(503);
    issuer.down = false;
    setClock(1_000);
    expect((await judge.verify(await issuer.token())).user).toBe("jane");
  });

  it("when only its keys are down at first, and works when they are back", async () => {
    const judge = verifier();
    issuer.answerKeys((response) => response.writeHead(503).end());
    expect(await refusal(judge, await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    issuer.answers.clear();
    setClock(1_000);
    expect((await judge.verify(await issuer.token())).user).toBe("jane");
  });

  it("but for 10 minutes known keys go on", async () => {
    const judge = verifier();
    await judge.verify(await issuer.token());
    issuer.goDown();
    setClock(9 * 60_000);
    expect((await judge.verify(await issuer.token({ sub: "later" }))).user).toBe("later");
    expect(await refusal(judge, await issuer.token({}, { kid: "unknown" }))).toMatchObject(ISSUER_UNAVAILABLE);
    setClock(1.1 * 60_000);
    expect(await refusal(judge, await issuer.token({ sub: "too late" }))).toMatchObject(ISSUER_UNAVAILABLE);
    issuer.down = false;
    setClock(1_000);
    expect((await judge.verify(await issuer.token({ sub: "back" }))).user).toBe("back");
  });

  it("and does not stop the tokens of another issuer", async () => {
    const other = await startIssuer([foreign]);
    const judge = verifier(issuer.configuration(), other.configuration());
    issuer.goDown();
    expect(await refusal(judge, await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    expect((await judge.verify(await other.token())).user).toBe("jane");
  });

  it("when it does not answer, within 4 s", async () => {
    issuer.answerDiscovery(() => {});
    const from = performance.now();
    expect(await refusal(verifier(), await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    expect(performance.now() - from).toBeLessThan(4_000);
  });

  it("when its certificate is of another authority", async () => {
    const stranger = await CertificateAuthority.create("stranger", 1);
    const error = await refusal(
      verifier(issuer.configuration({ certificateAuthority: stranger.pem })),
      await issuer.token(),
    );
    expect(error).toMatchObject(ISSUER_UNAVAILABLE);
    expect(issuer.asked).toEqual([]);
  });

  it("when its certificate is not of an authority of the system's and none is configured", async () => {
    const judge = verifier(issuer.configuration({ certificateAuthority: undefined }));
    expect(await refusal(judge, await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    expect(issuer.asked).toEqual([]);
  });

  it("when the configured authority is no certificate", async () => {
    const judge = verifier(issuer.configuration({ certificateAuthority: "no PEM" }));
    expect(await refusal(judge, await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    expect(issuer.asked).toEqual([]);
  });

  it("when its certificate is for another host", async () => {
    const elsewhere = await authority.issue({ commonName: "issuer", hosts: ["issuer.example.com"], days: 1 });
    const named = await IssuerFixture.start(elsewhere, authority.pem, keys);
    open.push(named);
    expect(await refusal(verifier(named.configuration()), await named.token())).toMatchObject(ISSUER_UNAVAILABLE);
    expect(named.asked).toEqual([]);
  });

  const documents: [what: string, answer: (to: Parameters<Parameters<IssuerFixture["answerKeys"]>[0]>[0]) => void][] = [
    ["another issuer's", (to) => sendJson(to, { issuer: "https://evil.example", jwks_uri: `${issuer.url}/keys` })],
    [
      "of the issuer with a slash more",
      (to) => sendJson(to, { issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/keys` }),
    ],
    ["without issuer", (to) => sendJson(to, { jwks_uri: `${issuer.url}/keys` })],
    ["without jwks_uri", (to) => sendJson(to, { issuer: issuer.url })],
    ["with a jwks_uri that is a file", (to) => sendJson(to, { issuer: issuer.url, jwks_uri: "file:///etc/passwd" })],
    ["with a jwks_uri that is a path", (to) => sendJson(to, { issuer: issuer.url, jwks_uri: "/keys" })],
    ["with a jwks_uri that is a number", (to) => sendJson(to, { issuer: issuer.url, jwks_uri: 7 })],
    ["null", (to) => sendJson(to, null)],
    ["a list", (to) => sendJson(to, [])],
    ["no JSON", (to) => void to.end("<html>")],
    ["not found", (to) => void to.writeHead(404).end()],
    ["a server error", (to) => void to.writeHead(500).end()],
    ["cut", (to) => void to.writeHead(200, { "Content-Length": "100" }).write("{", () => to.destroy())],
  ];
  it.each(documents)("when its discovery document is %s", async (_what, answer) => {
    issuer.answerDiscovery(answer);
    expect(await refusal(verifier(), await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    expect(issuer.keyFetches).toBe(0);
  });

  const sets: typeof documents = [
    ["no JSON", (to) => void to.end("<html>")],
    ["no key set", (to) => sendJson(to, { keys: "none" })],
    ["null", (to) => sendJson(to, null)],
    ["not found", (to) => void to.writeHead(404).end()],
    ["a server error", (to) => void to.writeHead(500).end("oops")],
    ["no content", (to) => void to.writeHead(204).end()],
    ["cut", (to) => void to.writeHead(200, { "Content-Length": "100" }).write("{", () => to.destroy())],
  ];
  it.each(sets)("when its keys are %s", async (_what, answer) => {
    issuer.answerKeys(answer);
    expect(await refusal(verifier(), await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
  });

  it("when its keys are by http: they are good, and nobody fetches them", async () => {
    let asked = 0;
    const plain = createServer((_request, response) => {
      asked++;
      sendJson(response, { keys: keys.map(({ jwk }) => jwk) });
    });
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    open.push({ close: () => new Promise((resolve) => plain.close(() => resolve())) });
    const keysUrl = `http://127.0.0.1:${(plain.address() as AddressInfo).port}/keys`;
    issuer.answerDiscovery((response) => sendJson(response, { issuer: issuer.url, jwks_uri: keysUrl }));
    const error = await refusal(verifier(), await issuer.token());
    expect(error).toMatchObject(ISSUER_UNAVAILABLE);
    expect(error.message).toMatch(/jwks_uri is not https/);
    expect(asked).toBe(0);
  });

  it.each([301, 302, 303, 307, 308])("when it answers %i: nobody goes where it points", async (status) => {
    const evil = createServer((_request, response) => response.end("{}"));
    let asked = 0;
    evil.on("connection", () => asked++);
    await new Promise<void>((resolve) => evil.listen(0, "127.0.0.1", resolve));
    const location = `http://127.0.0.1:${(evil.address() as AddressInfo).port}/`;
    issuer.answerDiscovery((response) => response.writeHead(status, { location }).end());
    expect(await refusal(verifier(), await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    issuer.answers.clear();
    issuer.answerKeys((response) => response.writeHead(status, { location }).end());
    expect(await refusal(verifier(), await issuer.token())).toMatchObject(ISSUER_UNAVAILABLE);
    expect(asked).toBe(0);
    await new Promise<void>((resolve) => evil.close(() => resolve()));
  });
});

describe("a judgement that was made", () => {
  it("is known for a minute, without the issuer", async () => {
    const judge = verifier();
    const token = await issuer.token();
    expect(judge.known(token)).toBeUndefined();
    await judge.verify(token);
    expect(judge.known(token)?.user).toBe("jane");
    setClock(59_000);
    expect(judge.known(token)?.user).toBe("jane");
    setClock(2_000);
    expect(judge.known(token)).toBeUndefined();
  });

  it("is never known beyond the token's expiry", async () => {
    const judge = verifier();
    const token = await issuer.token({ exp: inSeconds(20) });
    await judge.verify(token);
    expect(judge.known(token)?.user).toBe("jane");
    setClock(20_000);
    expect(judge.known(token)).toBeUndefined();
    setClock(31_000);
    expect((await refusal(judge, token)).message).toMatch(/expired/);
  });

  it("is of this token alone, to the last byte", async () => {
    const judge = verifier();
    const token = await issuer.token();
    await judge.verify(token);
    expect(judge.known(`${token} `)).toBeUndefined();
    expect(judge.known(token.slice(0, -1))).toBeUndefined();
    expect(await refusal(judge, await changed(2, token))).toMatchObject(TOKEN_REFUSED);
  });

  it("is kept for 10 s when it took too long, so that nobody can have it done again and again", async () => {
    const slow = new Expression('claims.pad == "b" || claims.pad.matches("(a?){500}a{500}b")', "claims", "bool");
    const judge = verifier(issuer.configuration({ claimRules: [{ expression: slow, message: "" }] }));
    const token = await issuer.token({ pad: "a".repeat(1_000) });
    const says = /the token is refused: it took longer than 250 ms to evaluate$/;
    expect((await refusal(judge, token)).message).toMatch(says);
    const from = performance.now();
    for (let i = 0; i < 20; i++) expect((await refusal(judge, token)).message).toMatch(says);
    expect(performance.now() - from).toBeLessThan(250);
    expect(judge.known(token)).toBeUndefined();
    expect((await judge.verify(await issuer.token({ pad: "b" }))).user).toBe("jane");
    setClock(10_000);
    const again = performance.now();
    await refusal(judge, token);
    expect(performance.now() - again).toBeGreaterThan(240);
    judge.use([issuer.configuration()]);
    expect((await judge.verify(token)).user).toBe("jane");
  });

  it("is not kept when the token was refused", async () => {
    const judge = verifier();
    const token = await issuer.token({ aud: "other" });
    await refusal(judge, token);
    expect(judge.known(token)).toBeUndefined();
  });

  it("is forgotten when 10,000 newer ones have come", async () => {
    const key = await signingKey("EdDSA", "quick");
    issuer.published = [key];
    const judge = verifier();
    const tokens = await Promise.all(
      Array.from({ length: 10_001 }, (_, i) => issuer.token({ sub: `user-${i}` }, {}, key)),
    );
    const [oldest = "", second = "", ...newer] = tokens;
    await judge.verify(oldest);
    await judge.verify(second);
    expect(judge.known(oldest)?.user).toBe("user-0");
    await Promise.all(newer.map((token) => judge.verify(token)));
    expect(judge.known(oldest)).toBeUndefined();
    expect(judge.known(second)?.user).toBe("user-1");
  });
});

describe("a bearer token of an Authorization header", () => {
  it.each<[value: string | undefined, token: string | undefined]>([
    ["Bearer abc.def-_", "abc.def-_"],
    ["bearer abc", "abc"],
    ["BEARER abc", "abc"],
    ["Bearer   abc  ", "abc"],
    [undefined, undefined],
    ["", undefined],
    ["Bearer", undefined],
    ["Bearer ", undefined],
    ["abc", undefined],
    ["Basic abc", undefined],
    ["Bearer abc def", undefined],
    ["Bearer abc, Bearer def", undefined],
    ["Bearer\tabc", undefined],
    [" Bearer abc", undefined],
    ["Bearer äbc", undefined],
    ["Bearer abc\n", undefined],
    ["Bearer a\0c", undefined],
    ["XBearer abc", undefined],
  ])("of %j is %j", (value, token) => {
    expect(bearerToken(value)).toBe(token);
  });
});

function unsecured(alg = "none"): string {
  const now = inSeconds(0);
  const token = new UnsecuredJWT({ iss: issuer.url, aud: AUDIENCE, sub: CANARY, iat: now, exp: now + 60 }).encode();
  return alg === "none" ? token : token.replace(/^[^.]+/, base64url({ alg }));
}

async function signedWithPublicKey(): Promise<string> {
  const key = keys.find(({ alg }) => alg === "RS256");
  const publicKey = await importJWK(key?.jwk ?? {}, "RS256", { extractable: true });
  if (publicKey instanceof Uint8Array) throw new Error("not a public key");
  return hmac(Buffer.from(await exportSPKI(publicKey)), "key-RS256");
}

function hmac(secret: Buffer, kid: string): string {
  const now = inSeconds(0);
  const claims = { iss: issuer.url, aud: AUDIENCE, sub: CANARY, iat: now, exp: now + 60 };
  const input = `${base64url({ alg: "HS256", kid })}.${base64url(claims)}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

/** A good token whose header says another algorithm. */
async function retold(alg: string): Promise<string> {
  const [, payload, signature] = (await issuer.token()).split(".");
  return `${base64url({ alg, kid: "key-ES256" })}.${payload}.${signature}`;
}

function critical(): Record<string, unknown> {
  return { crit: ["urn:example:must"], "urn:example:must": CANARY };
}

/** A token without key id, of an issuer that has two keys for its algorithm. */
async function ambiguous(): Promise<string> {
  const [first] = keys;
  issuer.published = [...keys, { ...foreign, kid: "second", jwk: { ...foreign.jwk, kid: "second" } }];
  return issuer.token({}, { kid: undefined }, first);
}

/** A good token with one of its parts changed. */
async function changed(part: 1 | 2, token?: string): Promise<string> {
  const parts = (token ?? (await issuer.token())).split(".");
  if (part === 1)
    parts[1] = base64url({ ...JSON.parse(Buffer.from(parts[1] ?? "", "base64url").toString()), sub: "root" });
  else parts[2] = (parts[2] ?? "").replace(/^./, (first) => (first === "A" ? "B" : "A"));
  return parts.join(".");
}

function encrypted(): Promise<string> {
  return new EncryptJWT({ iss: issuer.url, sub: CANARY })
    .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
    .encrypt(Buffer.alloc(32));
}
