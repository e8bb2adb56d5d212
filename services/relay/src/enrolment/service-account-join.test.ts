import { generateKeyPairSync } from "node:crypto";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { ApiserverFixture, CANARY } from "./service-account-fixture.ts";
import { checkServiceAccountJoin } from "./service-account-join.ts";

const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwk = publicKey.export({ format: "jwk" });
const short = generateKeyPairSync("rsa", { modulusLength: 1_024 }).publicKey.export({ format: "jwk" });
const keys = (...all: object[]) => JSON.stringify({ keys: all });
const good = {
  serviceAccount: "fairlead/fairlead-agent",
  issuer: "https://kubernetes.default.svc",
  jwks: keys({ ...jwk, kid: "1", alg: "ES256" }),
  certificateAuthority: "",
  audience: "https://relay.example.com/clusters/prod",
};
let authority: string;

beforeAll(async () => {
  authority = (await CertificateAuthority.create("issuers", 1)).pem;
});

describe("what an administrator registers", () => {
  it.each<[what: string, changes: Partial<typeof good>]>([
    ["as it comes", {}],
    ["with an issuer that is to be asked", { jwks: "" }],
    ["with an issuer that is no address, as its keys are there", { issuer: "kubernetes/serviceaccount" }],
    ["with a relay at a port", { audience: "https://relay.example.com:8443/clusters/prod" }],
    ["with a relay behind a path", { audience: "https://example.com/relay/clusters/prod" }],
    ["with an account whose name has dots", { serviceAccount: "a/b.c.d" }],
    ["with several keys", { jwks: keys({ ...jwk, kid: "1" }, { ...jwk, kid: "2", alg: "ES256" }) }],
  ])("is taken %s", (_what, changes) => {
    const due = { ...good, ...changes };
    expect(checkServiceAccountJoin("prod", due)).toEqual({
      ...due,
      jwks: due.jwks || undefined,
      certificateAuthority: undefined,
    });
  });

  it("may have the authority of the issuer's server", () => {
    const { certificateAuthority } = checkServiceAccountJoin("prod", {
      ...good,
      certificateAuthority: authority,
    });
    expect(certificateAuthority).toBe(authority);
  });

  it("takes the keys as a real apiserver's shape has them", async () => {
    const { jwks } = await ApiserverFixture.start();
    expect(checkServiceAccountJoin("prod", { ...good, jwks })).toMatchObject({ jwks });
  });

  it.each<[what: string, changes: Partial<typeof good>, says: RegExp]>([
    ["no account", { serviceAccount: "" }, /a service account is NAMESPACE\/NAME/],
    ["an account without namespace", { serviceAccount: "agent" }, /NAMESPACE\/NAME/],
    ["an account of three parts", { serviceAccount: "a/b/c" }, /NAMESPACE\/NAME/],
    ["an account as a subject", { serviceAccount: "system:serviceaccount:a:b" }, /NAMESPACE\/NAME/],
    ["any account", { serviceAccount: "fairlead/*" }, /NAMESPACE\/NAME/],
    ["an account with a line more", { serviceAccount: "a/b\n" }, /NAMESPACE\/NAME/],
    ["no issuer", { issuer: "" }, /an issuer is due/],
    ["a long issuer", { issuer: `https://${"x".repeat(1_024)}` }, /the issuer is longer than 1024 characters/],
    ["an issuer by http that is to be asked", { issuer: "http://issuer.example.com", jwks: "" }, /is https:\/\//],
    ["an issuer with a password", { issuer: "https://a:b@issuer.example.com", jwks: "" }, /is https:\/\//],
    ["an issuer with a query", { issuer: "https://issuer.example.com/?x=1", jwks: "" }, /is https:\/\//],
    ["an issuer that is a file", { issuer: "file:///etc/passwd", jwks: "" }, /is https:\/\//],
    ["no audience", { audience: "" }, /the audience is https:\/\/RELAY\/clusters\/prod/],
    ["another cluster's audience", { audience: "https://relay.example.com/clusters/stage" }, /clusters\/prod/],
    [
      "an audience whose cluster only ends alike",
      { audience: "https://relay.example.com/clusters/a-prod" },
      /the audience/,
    ],
    ["an audience by http", { audience: "http://relay.example.com/clusters/prod" }, /the audience/],
    ["the cluster in a query", { audience: "https://relay.example.com/?/clusters/prod" }, /the audience/],
    ["the apiserver's audience", { audience: "https://kubernetes.default.svc" }, /the audience/],
    ["keys that are no JSON", { jwks: `{"keys": ${CANARY}` }, /the keys are a JWK Set/],
    ["keys that are null", { jwks: "null" }, /the keys are a JWK Set/],
    ["no key", { jwks: keys() }, /with one key or more/],
    ["a key alone, in no set", { jwks: JSON.stringify(jwk) }, /the keys are a JWK Set/],
    ["a key that is none", { jwks: keys({ kty: "RSA", n: "", e: CANARY }) }, /that no signature can be verified by/],
    ["a key that is short", { jwks: keys(short) }, /that no signature can be verified by/],
    ["a key that is null", { jwks: '{"keys":[null]}' }, /that no signature can be verified by/],
    ["a private key", { jwks: keys(privateKey.export({ format: "jwk" })) }, /public ones only/],
    ["a shared secret", { jwks: keys({ kty: "oct", k: CANARY, alg: "HS256" }) }, /public ones only/],
    ["many keys", { jwks: keys(...Array(400).fill(jwk)) }, /the jwks is longer than 32768 characters/],
    ["an authority that is none", { certificateAuthority: CANARY }, /not a certificate in PEM/],
  ])("is refused with %s", (_what, changes, says) => {
    const check = () => checkServiceAccountJoin("prod", { ...good, ...changes });
    const message = expect.stringMatching(says);
    expect(check).toThrow(expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.RELAY, message }));
    expect(check).not.toThrow(CANARY);
  });
});
