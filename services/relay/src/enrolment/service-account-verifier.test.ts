import { createHmac } from "node:crypto";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, type FairleadError, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { IssuerFixture } from "../issuer-fixture.ts";
import { openStore, type Store } from "../store/store.ts";
import { ApiserverFixture, audienceOf, CANARY, claimsFor } from "./service-account-fixture.ts";
import { ServiceAccountJoins } from "./service-account-joins.ts";
import { ServiceAccountVerifier } from "./service-account-verifier.ts";

const NOW = Math.floor(Date.now() / 1000);
const HOUR = 3_600;
let apiserver: ApiserverFixture;
let store: Store;
let joins: ServiceAccountJoins;
let verifier: ServiceAccountVerifier;

beforeAll(async () => {
  apiserver = await ApiserverFixture.start();
});

beforeEach(async () => {
  store = await openStore({ kind: "sqlite", file: ":memory:" });
  joins = new ServiceAccountJoins(store);
  verifier = new ServiceAccountVerifier(joins);
  for (const name of ["prod", "stage"]) {
    await store
      .insertInto("clusters")
      .values({ name, labels: "{}", created_at_ms: 0, last_seen_at_ms: null })
      .execute();
  }
  await joins.set("prod", apiserver.join("prod"));
});

afterEach(() => store.destroy());

async function faultOf(token: string): Promise<FairleadError> {
  const outcome = await verifier.verify(token).then(
    ({ cluster }) => `it joins ${cluster}`,
    (error: FairleadError) => error,
  );
  if (typeof outcome === "string") throw new Error(outcome);
  expect(`${outcome.message} ${outcome.cause}`).not.toContain(CANARY);
  for (const part of token.split(".").filter((each) => each.length > 8)) expect(outcome.message).not.toContain(part);
  return outcome;
}

async function expectRefusal(token: string, says: RegExp): Promise<void> {
  const { code, hop, message } = await faultOf(token);
  expect([code, hop, message]).toEqual([ErrorCode.TOKEN_REFUSED, Hop.RELAY, expect.stringMatching(says)]);
  expect(message).toMatch(/^the service account's token is refused: /);
}

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** What needs no key of the issuer's. */
function forged(alg: string, sign: (input: string) => string): string {
  const { kid } = JSON.parse(apiserver.jwks).keys[0];
  const input = `${encoded({ alg, kid })}.${encoded(claimsFor(apiserver.issuer, "prod"))}`;
  return `${input}.${sign(input)}`;
}

describe("a service account's token", () => {
  it("lets its agent join the one cluster that is registered with its audience", async () => {
    await joins.set("stage", apiserver.join("stage"));
    for (const cluster of ["prod", "stage"]) {
      expect(await verifier.verify(await apiserver.token(cluster))).toMatchObject({ cluster });
    }
  });

  it("may have its audience as a text, and last for 24 hours", async () => {
    const token = apiserver.token("prod", { aud: audienceOf("prod"), exp: NOW + 23 * HOUR, iat: NOW - HOUR });
    expect(await verifier.verify(await token)).toMatchObject({ cluster: "prod" });
  });

  it.each<[what: string, claims: Record<string, unknown>, says: RegExp]>([
    [
      "of another issuer",
      { iss: "https://other.example.com" },
      /its issuer is not https:\/\/kubernetes\.default\.svc$/,
    ],
    ["of no issuer", { iss: undefined }, /its issuer is not/],
    ["of an issuer with a slash more", { iss: "https://kubernetes.default.svc/" }, /its issuer is not/],
    ["for the apiserver", { aud: "https://kubernetes.default.svc" }, /no cluster is registered here with its audience/],
    ["for another relay", { aud: "https://other.example.com/clusters/prod" }, /no cluster is registered here/],
    ["for another cluster, which is not registered", { aud: audienceOf("stage") }, /no cluster is registered here/],
    ["for a cluster that is not there", { aud: audienceOf("none") }, /no cluster is registered here/],
    [
      "for the apiserver too",
      { aud: [audienceOf("prod"), "https://kubernetes.default.svc"] },
      /for one audience alone/,
    ],
    ["for the same audience twice", { aud: [audienceOf("prod"), audienceOf("prod")] }, /for one audience alone/],
    ["for nobody", { aud: undefined }, /for one audience alone/],
    ["for an empty list", { aud: [] }, /for one audience alone/],
    ["for a number", { aud: 1 }, /for one audience alone/],
    ["for an object", { aud: [{ toString: "x" }] }, /for one audience alone/],
    [
      "of another account",
      { sub: "system:serviceaccount:fairlead:default" },
      /its subject is not system:serviceaccount:fairlead:fairlead-agent/,
    ],
    ["of the account's name in another namespace", { sub: "system:serviceaccount:evil:fairlead-agent" }, /its subject/],
    ["of an account whose name goes on", { sub: "system:serviceaccount:fairlead:fairlead-agent2" }, /its subject/],
    ["of one in other letters", { sub: "system:serviceaccount:fairlead:Fairlead-agent" }, /its subject/],
    ["of a person", { sub: "jane" }, /its subject/],
    ["of nobody", { sub: undefined }, /its subject/],
    ["of a list", { sub: ["system:serviceaccount:fairlead:fairlead-agent"] }, /.+/],
    ["that has expired", { iat: NOW - 2 * HOUR, exp: NOW - HOUR }, /it has expired, \d+ s ago by this machine's clock/],
    ["without an end, as those of Secrets are", { exp: undefined }, /its claim exp is not as it must be/],
    ["whose end is a text", { exp: "2100-01-01" }, /its claim exp is not as it must be/],
    ["without a beginning", { iat: undefined }, /its claim iat is not as it must be/],
    ["that lasts for more than 24 hours", { exp: NOW + 24 * HOUR + 5, iat: NOW }, /for more than 24 hours/],
    ["that lasts for a year, and began long ago", { iat: NOW - 364 * 24 * HOUR }, /for more than 24 hours/],
    ["that is not valid yet", { nbf: NOW + HOUR }, /it is not valid yet, for another \d+ s/],
    ["of the future", { iat: NOW + HOUR, nbf: undefined }, /it was issued \d+ s in the future/],
  ])("is refused %s", async (_what, claims, says) => {
    await expectRefusal(await apiserver.token("prod", claims), says);
  });

  it("is refused without a signature", async () => {
    await expectRefusal(
      forged("none", () => ""),
      /algorithm is not allowed|not a valid JWT/,
    );
  });

  it("is refused with a signature by a shared secret that is the issuer's public key", async () => {
    const signed = forged("HS256", (input) => createHmac("sha256", apiserver.jwks).update(input).digest("base64url"));
    await expectRefusal(signed, /its signature's algorithm is not allowed/);
  });

  it("is refused with a signature of another token's", async () => {
    const [head, , signature] = (await apiserver.token("prod")).split(".");
    const claims = { ...claimsFor(apiserver.issuer, "prod"), exp: NOW + 2 * HOUR };
    await expectRefusal(`${head}.${encoded(claims)}.${signature}`, /its signature is not the issuer's/);
  });

  it("is refused by a key that the issuer does not have", async () => {
    await expectRefusal(await apiserver.token("prod", {}, { kid: "unknown" }), /a key that the issuer does not have/);
  });

  it("is refused from a cluster whose issuer and key ids have the same names", async () => {
    const { kid } = JSON.parse(apiserver.jwks).keys[0];
    const other = await ApiserverFixture.start(apiserver.issuer);
    await other.rotate(kid);
    await expectRefusal(await other.token("prod"), /its signature is not the issuer's/);
    await joins.set("stage", other.join("stage"));
    await expectRefusal(await apiserver.token("stage"), /its signature is not the issuer's/);
    expect(await verifier.verify(await other.token("stage"))).toMatchObject({ cluster: "stage" });
  });

  it("tells nothing of what is registered to whoever the issuer does not sign for", async () => {
    const other = await ApiserverFixture.start();
    const { message } = await faultOf(await other.token("prod"));
    expect(message).not.toMatch(/fairlead-agent|kubernetes\.default/);
  });

  it.each(["", "x", "a.b", "a.b.c", "flj_x", "ey.ey.ey", "x".repeat(20_000)])("is not %j", async (text) => {
    await expectRefusal(text, /it is not a JWT|it is too long/);
  });
});

describe("what is registered for a cluster", () => {
  it("counts from then on, and not what was before: keys that were rotated too", async () => {
    const rotated = await ApiserverFixture.start();
    const [before, after] = [await apiserver.token("prod"), await rotated.token("prod")];
    await verifier.verify(before);
    await expectRefusal(after, /a key that the issuer does not have/);
    await joins.set("prod", rotated.join("prod"));
    expect(await verifier.verify(after)).toMatchObject({ cluster: "prod" });
    await expectRefusal(before, /a key that the issuer does not have/);
  });

  it("may have the keys before and after a rotation at once", async () => {
    const rotated = await ApiserverFixture.start();
    const keys = [apiserver, rotated].flatMap(({ jwks }) => JSON.parse(jwks).keys);
    await joins.set("prod", apiserver.join("prod", { jwks: JSON.stringify({ keys }) }));
    for (const each of [apiserver, rotated]) await verifier.verify(await each.token("prod"));
  });

  it("counts no more when it is taken away, or its cluster is removed", async () => {
    const token = await apiserver.token("prod");
    await joins.set("prod", undefined);
    await expectRefusal(token, /no cluster is registered here/);
    await joins.set("prod", apiserver.join("prod"));
    await store.deleteFrom("clusters").where("name", "=", "prod").execute();
    await expectRefusal(token, /no cluster is registered here/);
    expect(await store.selectFrom("service_account_joins").selectAll().execute()).toEqual([]);
  });
});

describe("an issuer that is asked for its keys", () => {
  let issuer: IssuerFixture;
  const token = (claims = {}) => issuer.token({ ...claimsFor(issuer.url, "prod"), ...claims });

  beforeEach(async () => {
    const authority = await CertificateAuthority.create("test issuers", 1);
    const tls = await authority.issue({ commonName: "issuer", hosts: ["127.0.0.1"], days: 1 });
    issuer = await IssuerFixture.start(tls, authority.pem);
    const known = { issuer: issuer.url, jwks: undefined, certificateAuthority: authority.pem };
    await joins.set("prod", apiserver.join("prod", known));
  });

  afterEach(() => issuer.close());

  it("is asked once for many tokens", async () => {
    for (let i = 0; i < 5; i++) expect(await verifier.verify(token())).toMatchObject({ cluster: "prod" });
    expect(issuer.asked).toBe(2); // the document, and the keys
  });

  it("is not asked for a token that no cluster is registered for", async () => {
    await expectRefusal(token({ aud: audienceOf("stage") }), /no cluster is registered here/);
    expect(issuer.asked).toBe(0);
  });

  it("that is away lets nobody in, says so, and does when it is back", async () => {
    issuer.down = true;
    const { code, hop, message } = await faultOf(token());
    expect([code, hop]).toEqual([ErrorCode.ISSUER_UNAVAILABLE, Hop.RELAY]);
    expect(message).toMatch(/the issuer https:\/\/127\.0\.0\.1:\d+ cannot be asked for its keys .*--join-jwks/);
    issuer.down = false;
    await new Promise((resolve) => setTimeout(resolve, 1_100)); // it is left in peace for a second
    expect(await verifier.verify(token())).toMatchObject({ cluster: "prod" });
  });

  it("is believed only by a certificate of the authority that is registered", async () => {
    await joins.set("prod", apiserver.join("prod", { issuer: issuer.url, jwks: undefined }));
    expect(await faultOf(token())).toMatchObject({ code: ErrorCode.ISSUER_UNAVAILABLE });
  });
});
