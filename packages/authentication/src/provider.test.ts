import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { decodeProtectedHeader, exportJWK, generateKeyPair } from "jose";
import type { JWK } from "oidc-provider";
import { stringify } from "yaml";
import { setClock } from "./clock-fixture.ts";
import { parseAuthenticationConfiguration } from "./configuration.ts";
import { ProviderFixture } from "./provider-fixture.ts";
import { TokenVerifier } from "./token-verifier.ts";

const MINUTE_MS = 60_000;
const TOKEN_REFUSED = { code: ErrorCode.TOKEN_REFUSED };
const ISSUER_UNAVAILABLE = { code: ErrorCode.ISSUER_UNAVAILABLE };

let authority: CertificateAuthority;
let [old, next]: JWK[] = [];
let provider: ProviderFixture;
let verifier: TokenVerifier;

beforeAll(async () => {
  authority = await CertificateAuthority.create("test providers", 1);
  [old, next] = await Promise.all([privateKey("old"), privateKey("next")]);
});
beforeEach(async () => {
  provider = await ProviderFixture.start(authority);
  provider.use(keys(old));
  verifier = new TokenVerifier(parseAuthenticationConfiguration(configuration()), Hop.IDENTITY_PROXY);
});
afterEach(async () => {
  jest.useRealTimers();
  await provider.close();
});

async function privateKey(kid: string): Promise<JWK> {
  const { privateKey: key } = await generateKeyPair("ES256", { extractable: true });
  return { ...(await exportJWK(key)), kid, alg: "ES256", use: "sig" } as JWK;
}

const keys = (...given: (JWK | undefined)[]): JWK[] => given.filter((key) => key !== undefined);

function configuration(audience = "fairlead"): string {
  const issuer = { url: provider.url, certificateAuthority: authority.pem, audiences: [audience] };
  const claimMappings = {
    username: { expression: '"provider:" + claims.client_id' },
    groups: { claim: "groups", prefix: "" },
  };
  return stringify({
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AuthenticationConfiguration",
    jwt: [{ issuer, claimMappings, claimValidationRules: [{ expression: "claims.exp > claims.iat" }] }],
  });
}

const refusal = (token: string): Promise<unknown> =>
  verifier.verify(token).then(
    () => undefined,
    (error: unknown) => error,
  );

describe("a token of a real provider", () => {
  it("is taken, by keys that its discovery document leads to", async () => {
    expect(await verifier.verify(await provider.token())).toMatchObject({ user: "provider:jane", groups: ["dev"] });
  });

  it("is refused when it was changed, or is for somebody else", async () => {
    const token = await provider.token();
    const [header, payload = "", signature] = token.split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString());
    const changed = Buffer.from(JSON.stringify({ ...claims, groups: ["admins"] })).toString("base64url");
    expect(await refusal(`${header}.${changed}.${signature}`)).toMatchObject(TOKEN_REFUSED);
    verifier.use(parseAuthenticationConfiguration(configuration("other")));
    expect(String(await refusal(token))).toMatch(/not for the audience other/);
  });
});

describe("a provider that changes its keys", () => {
  it("has its new tokens taken from half a minute on, and its old ones until it withdraws their key", async () => {
    const before = await provider.token();
    await verifier.verify(before);

    provider.use(keys(next, old));
    const after = await provider.token();
    expect(decodeProtectedHeader(after).kid).toBe("next");
    expect(await refusal(after)).toMatchObject(TOKEN_REFUSED); // keys were fetched a moment ago
    setClock(31_000);
    expect(await verifier.verify(after)).toMatchObject({ user: "provider:jane" });
    expect(await verifier.verify(before)).toMatchObject({ user: "provider:jane" });

    provider.use(keys(next));
    setClock(10 * MINUTE_MS);
    expect(String(await refusal(before))).toMatch(/signed with a key that the issuer does not have/);
    expect(await verifier.verify(after)).toMatchObject({ user: "provider:jane" });
  });

  it("at once and without overlap, keeps nobody out for longer than half a minute", async () => {
    await verifier.verify(await provider.token());
    provider.use(keys(next));
    setClock(31_000);
    expect(await verifier.verify(await provider.token())).toMatchObject({ user: "provider:jane" });
  });
});

describe("a provider that is away", () => {
  it("for less than 10 minutes is not missed by those whose keys are known", async () => {
    const [first, second] = [await provider.token(), await provider.token()];
    await verifier.verify(first);
    provider.goAway();
    for (let minute = 1; minute <= 9; minute++) {
      setClock(MINUTE_MS);
      expect(await verifier.verify(first)).toMatchObject({ user: "provider:jane" });
      expect(await verifier.verify(second)).toMatchObject({ user: "provider:jane" });
    }
  });

  it("for longer gives 503, with what to do, and is asked again when it is back", async () => {
    const [first, second] = [await provider.token(), await provider.token()];
    await verifier.verify(first);
    provider.goAway();
    setClock(10 * MINUTE_MS + 1_000);
    const error = await refusal(second);
    expect(error).toMatchObject(ISSUER_UNAVAILABLE);
    expect(String(error)).toContain(`the issuer ${provider.url} cannot be asked for its keys`);
    expect(String(error)).toMatch(/try again when it is back/);
    expect(await refusal(first)).toMatchObject(ISSUER_UNAVAILABLE);

    provider.comeBack();
    setClock(1_000);
    expect(await verifier.verify(second)).toMatchObject({ user: "provider:jane" });
  });

  it("gives 503 and not 401 for a token of a key that it may have published meanwhile", async () => {
    await verifier.verify(await provider.token());
    provider.use(keys(next));
    const unknown = await provider.token();
    provider.goAway();
    setClock(31_000);
    expect(await refusal(unknown)).toMatchObject(ISSUER_UNAVAILABLE);
  });

  it("is not asked by each token: once a second at most", async () => {
    const tokens = await Promise.all(Array.from({ length: 20 }, () => provider.token()));
    provider.goAway();
    setClock(0);
    const before = provider.connections;
    for (const token of tokens) expect(await refusal(token)).toMatchObject(ISSUER_UNAVAILABLE);
    expect(provider.connections - before).toBeLessThanOrEqual(1);
  });
});

describe("clocks that differ by 2 minutes", () => {
  const GOOD_FOR_SECONDS = 60;

  it("refuse a token of the future, with a sentence that names the clock, until it is so late here", async () => {
    setClock(2 * MINUTE_MS);
    const token = await provider.token();
    jest.useRealTimers();
    const error = await refusal(token);
    expect(error).toMatchObject(TOKEN_REFUSED);
    expect(String(error)).toMatch(/issued 1(19|20) s in the future: check this machine's clock and the issuer's$/);
    setClock(91_000);
    expect(await verifier.verify(token)).toMatchObject({ user: "provider:jane" });
  });

  it("refuse a short token of the past, with how long ago it was by the clock here", async () => {
    provider.use(keys(old), GOOD_FOR_SECONDS);
    setClock(-2 * MINUTE_MS);
    const token = await provider.token();
    jest.useRealTimers();
    const error = await refusal(token);
    expect(error).toMatchObject(TOKEN_REFUSED);
    expect(String(error)).toMatch(/has expired, 6[01] s ago by this machine's clock; get a new one$/);
  });

  it("do not matter to a token of the past that is good for an hour", async () => {
    setClock(-2 * MINUTE_MS);
    const token = await provider.token();
    jest.useRealTimers();
    expect(await verifier.verify(token)).toMatchObject({ user: "provider:jane" });
  });

  it.each([-25, 25])("but by %i s do not matter to a new token", async (seconds) => {
    provider.use(keys(old), GOOD_FOR_SECONDS);
    setClock(seconds * 1000);
    const token = await provider.token();
    jest.useRealTimers();
    expect(await verifier.verify(token)).toMatchObject({ user: "provider:jane" });
  });
});
