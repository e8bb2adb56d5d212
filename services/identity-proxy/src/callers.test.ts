import { generateKeyPairSync } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ProofKey, TokenVerifier } from "@fairlead/authentication";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, Hop, newExchangeId, type RequestHead, RequestHeadSchema } from "@fairlead/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { Callers } from "./callers.ts";
import { IssuerFixture } from "./issuer-fixture.ts";
import { headerLines } from "./requester-fixture.ts";

let issuer: IssuerFixture;
let key: ProofKey;
let verifier: TokenVerifier;
let callers: Callers;

beforeAll(async () => {
  const authority = await CertificateAuthority.create("test cluster", 1);
  issuer = await IssuerFixture.start(
    await authority.issue({ commonName: "server", hosts: ["127.0.0.1"], days: 1 }),
    authority.pem,
  );
  key = await newKey();
});
afterAll(() => issuer.close());

beforeEach(() => {
  verifier = new TokenVerifier([issuer.configuration()], Hop.IDENTITY_PROXY);
  callers = new Callers(verifier);
});

async function newKey(): Promise<ProofKey> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return ProofKey.fromPem(privateKey.export({ type: "pkcs8", format: "pem" }).toString());
}

const bound = () => issuer.token({ cnf: { jkt: key.thumbprint } });

/** A request, proven with the key if there is one. */
async function request(
  token: string,
  by?: ProofKey,
  changes: Partial<Omit<RequestHead, "$typeName">> = {},
): Promise<RequestHead> {
  const asked = { cluster: "prod", method: "GET", target: "/api/v1/pods?limit=5" };
  const proof = by ? [["DPoP", await by.prove({ ...asked, token })] as [string, string]] : [];
  const headers = headerLines(["Authorization", `Bearer ${token}`], ...proof);
  return create(RequestHeadSchema, { exchangeId: newExchangeId(), ...asked, headers, ...changes });
}

const REFUSED = (says: RegExp) => ({
  code: ErrorCode.TOKEN_REFUSED,
  hop: Hop.IDENTITY_PROXY,
  message: expect.stringMatching(says),
});

describe("a caller whose token is bound to a key", () => {
  it("is who the token says, with a proof of the key for the request", async () => {
    const token = bound();
    expect(await callers.authenticate(token, await request(token, key))).toMatchObject({ user: "jane" });
  });

  it("is refused without proof: the token alone is of no use", async () => {
    const token = bound();
    await expect(callers.authenticate(token, await request(token))).rejects.toMatchObject(REFUSED(/no proof/));
  });

  it("is asked for a proof with every request, not only with the first", async () => {
    const token = bound();
    await callers.authenticate(token, await request(token, key));
    expect(verifier.known(token)).toBeDefined();
    expect(callers.known(token)).toBeUndefined();
    await expect(callers.authenticate(token, await request(token))).rejects.toMatchObject(REFUSED(/no proof/));
  });

  it("is refused when the request is sent again", async () => {
    const token = bound();
    const head = await request(token, key);
    await callers.authenticate(token, head);
    await expect(callers.authenticate(token, head)).rejects.toMatchObject(REFUSED(/used before/));
  });

  it.each<[what: string, changes: Partial<Omit<RequestHead, "$typeName">>]>([
    ["to another cluster", { cluster: "staging" }],
    ["with another method", { method: "DELETE" }],
    ["to another path", { target: "/api/v1/secrets" }],
    ["with another query", { target: "/api/v1/pods" }],
  ])("is refused when the request was changed on its way: %s", async (_what, changes) => {
    const token = bound();
    const head = await request(token, key, changes);
    await expect(callers.authenticate(token, head)).rejects.toMatchObject(REFUSED(/another request/));
  });

  it("is refused when a limit was taken off on the way", async () => {
    const token = bound();
    const { $typeName: _, ...asked } = await request(token);
    const proof = await key.prove({ ...asked, token, scope: Object({ readOnly: true }) });
    const headers = headerLines(["Authorization", `Bearer ${token}`], ["DPoP", proof]);
    const head = create(RequestHeadSchema, { ...asked, headers });
    await expect(callers.authenticate(token, head)).rejects.toMatchObject(
      REFUSED(/another request \(fairlead_scope\)/),
    );
  });

  it("is refused with the proof of another key", async () => {
    const token = bound();
    const head = await request(token, await newKey());
    await expect(callers.authenticate(token, head)).rejects.toMatchObject(REFUSED(/another key/));
  });

  it("is refused with a proof for another of their own tokens", async () => {
    const head = await request(bound(), key);
    const another = issuer.token({ cnf: { jkt: key.thumbprint }, jti: "another" });
    await expect(callers.authenticate(another, head)).rejects.toMatchObject(REFUSED(/another request \(ath\)/));
  });
});

describe("a caller whose token is bound to no key", () => {
  it("is known at once when the token was judged before", async () => {
    const token = issuer.token();
    expect(callers.known(token)).toBeUndefined();
    await callers.authenticate(token, await request(token));
    expect(callers.known(token)).toMatchObject({ user: "jane" });
  });

  it("may show a proof, which changes nothing", async () => {
    const token = issuer.token();
    expect(await callers.authenticate(token, await request(token, key))).toMatchObject({ user: "jane" });
  });

  it("is refused where the cluster's owner asks for a binding, each time", async () => {
    const strict = new Callers(verifier, true);
    const token = issuer.token();
    await verifier.verify(token);
    expect(strict.known(token)).toBeUndefined();
    const head = await request(token, key);
    await expect(strict.authenticate(token, head)).rejects.toMatchObject(REFUSED(/bound to no key/));
  });

  it("is nobody without a token", async () => {
    expect(callers.known(undefined)).toBeUndefined();
    await expect(callers.authenticate(undefined, await request("x"))).rejects.toMatchObject(REFUSED(/no token/));
  });
});
