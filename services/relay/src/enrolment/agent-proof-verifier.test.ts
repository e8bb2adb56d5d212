import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { AgentIdentity, clusterUri } from "@fairlead/agent-identity";
import { CertificateAuthority, type CertifyOptions, requestedKey } from "@fairlead/certificates";
import { EnrolmentService, ErrorCode, Hop, TunnelService } from "@fairlead/protocol";
import { beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { SignJWT, UnsecuredJWT } from "jose";
import { AgentProofVerifier } from "./agent-proof-verifier.ts";
import { keyOf } from "./key-of.ts";

const ATTACH = TunnelService.method.attach;
const SAYS = { commonName: "prod", uri: clusterUri("prod"), lifetimeMs: 3_600_000 };
let authority: CertificateAuthority;
let stranger: CertificateAuthority;
let key: string;
let certificate: X509Certificate;
let verifier: AgentProofVerifier;

beforeAll(async () => {
  authority = await CertificateAuthority.create("fairlead agents", 1);
  stranger = await CertificateAuthority.create("fairlead agents", 1); // by name the same
  ({ key, certificate } = await certified());
});

beforeEach(() => {
  verifier = new AgentProofVerifier([new X509Certificate(authority.pem)]);
});

async function certified(options: Partial<CertifyOptions> = {}, by = authority) {
  const requested = await requestedKey();
  return {
    key: requested.key,
    certificate: new X509Certificate(await by.certify(requested.request, { ...SAYS, ...options })),
  };
}

interface Made {
  payload?: Record<string, unknown>;
  header?: Record<string, unknown>;
  signer?: string;
  of?: X509Certificate;
  ageSeconds?: number;
}

/** A proof that is good but for what is said. */
function made({
  payload = {},
  header = {},
  signer = key,
  of = certificate,
  ageSeconds = 0,
}: Made = {}): Promise<string> {
  const iat = Math.floor(Date.now() / 1_000) - ageSeconds;
  const claims = {
    aud: "/fairlead.tunnel.v1alpha1.TunnelService/Attach",
    jti: String(Math.random()),
    iat,
    exp: iat + 60,
  };
  return new SignJWT({ ...claims, ...payload })
    .setProtectedHeader({ typ: "fairlead-agent+jwt", alg: "ES256", x5c: [of.raw.toString("base64")], ...header })
    .sign(createPrivateKey(signer));
}

const verify = async (proof: string | undefined | Promise<string>) => verifier.verify(await proof, ATTACH);
const refusedWith = (reason: RegExp) => ({
  code: ErrorCode.TOKEN_REFUSED,
  hop: Hop.RELAY,
  message: expect.stringMatching(new RegExp(`^the agent's proof is refused: .*${reason.source}`)),
});

describe("an agent's proof", () => {
  it("says which cluster's agent it is, and which key it has", async () => {
    const identity = new AgentIdentity({ key, certificate: certificate.toString() });
    const due = { cluster: "prod", key: keyOf(createPublicKey(key)) };
    expect(await verify(identity.prove(ATTACH))).toEqual(due);
    expect(await verify(made())).toEqual(due);
  });

  it("counts once", async () => {
    const proof = await made();
    await verify(proof);
    await expect(verify(proof)).rejects.toMatchObject(refusedWith(/used before/));
  });

  it("counts for its own method only", async () => {
    const identity = new AgentIdentity({ key, certificate: certificate.toString() });
    await expect(verify(identity.prove(EnrolmentService.method.renew))).rejects.toMatchObject(
      refusedWith(/its aud is not/),
    );
  });

  it("counts under an authority that is being replaced", async () => {
    const both = [new X509Certificate(stranger.pem), new X509Certificate(authority.pem)];
    const proof = await made();
    expect(await new AgentProofVerifier(both).verify(proof, ATTACH)).toMatchObject({ cluster: "prod" });
  });

  it.each([59, -55])("counts when the clocks are apart: it is %d s old", async (ageSeconds) => {
    expect(await verify(made({ ageSeconds }))).toMatchObject({ cluster: "prod" });
  });

  it.each<[what: string, proof: () => Promise<string | undefined>, reason: RegExp]>([
    ["none", async () => undefined, /there is none/],
    ["an empty one", async () => "", /names no certificate/],
    ["what is no JWT", async () => "a.b.c", /names no certificate/],
    ["one of a megabyte", async () => "a".repeat(1_000_000), /too long/],
    ["one without a certificate", () => made({ header: { x5c: [] } }), /names no certificate/],
    ["one whose certificate is none", () => made({ header: { x5c: ["AAAA"] } }), /names no certificate/],
    [
      "one of another key than the certificate's",
      async () => made({ signer: (await requestedKey()).key }),
      /signature/,
    ],
    ["one of two hours ago", () => made({ ageSeconds: 7_200 }), /too old; check the agent's clock/],
    ["one of the time to come", () => made({ ageSeconds: -7_200 }), /of the future; check the agent's clock/],
    ["one that lasts for a day, and is old", () => made({ ageSeconds: 3_600, payload: { exp: 4e9 } }), /too old/],
    ["one without an end", () => made({ payload: { exp: undefined } }), /its exp/],
    ["one without a time", () => made({ payload: { iat: undefined } }), /its iat|future/],
    ["one without an id", () => made({ payload: { jti: undefined } }), /its jti/],
    ["one for nothing", () => made({ payload: { aud: undefined } }), /its aud/],
    ["one of another type", () => made({ header: { typ: "dpop+jwt" } }), /its typ/],
    [
      "one that nobody signed",
      async () => {
        const [, payload = ""] = (await made()).split(".");
        const header = { alg: "none", typ: "fairlead-agent+jwt", x5c: [certificate.raw.toString("base64")] };
        return `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${payload}.`;
      },
      /signature/,
    ],
    ["one without a head", async () => new UnsecuredJWT({}).encode(), /names no certificate/],
  ])("is refused: %s", async (_what, proof, reason) => {
    await expect(verify(await proof())).rejects.toMatchObject(refusedWith(reason));
  });

  it("is refused with a signature by the public key as a secret", async () => {
    const secret = Buffer.from(certificate.publicKey.export({ type: "spki", format: "pem" }));
    const header = { typ: "fairlead-agent+jwt", alg: "HS256", x5c: [certificate.raw.toString("base64")] };
    const proof = await new SignJWT({ jti: "1", aud: "/fairlead.tunnel.v1alpha1.TunnelService/Attach" })
      .setProtectedHeader(header)
      .setIssuedAt()
      .setExpirationTime("60 s")
      .sign(secret);
    await expect(verify(proof)).rejects.toMatchObject(refusedWith(/signature/));
  });
});

describe("a proof's certificate", () => {
  const byOther = async (options: Partial<CertifyOptions>, by = authority) => {
    const other = await certified(options, by);
    return made({ signer: other.key, of: other.certificate });
  };

  it("is refused under another authority of the same name", async () => {
    await expect(verify(byOther({}, stranger))).rejects.toMatchObject(refusedWith(/not of this relay's authority/));
  });

  it("is refused after its end, with what to do", async () => {
    const expired = byOther({ lifetimeMs: -5_000 });
    await expect(verify(expired)).rejects.toMatchObject(refusedWith(/has expired, at 20.*join-token prod/));
  });

  it.each(["fairlead:cluster:", "https://prod", "fairlead:cluster:a/b"])("is refused if it names %s", async (uri) => {
    await expect(verify(byOther({ uri }))).rejects.toMatchObject(refusedWith(/is no agent's/));
  });

  it.each(["the authority's own", "a server's"])("is refused if it is %s", async (which) => {
    const server = await authority.issue({ commonName: "relay", hosts: ["relay"], days: 1 });
    const own = { key: await authority.keyPem(), cert: authority.pem };
    const { key: signer, cert } = which === "a server's" ? server : own;
    const proof = made({ signer, of: new X509Certificate(cert) });
    await expect(verify(proof)).rejects.toMatchObject(refusedWith(/is no agent's/));
  });

  it("is refused if it signed itself", async () => {
    const own = await CertificateAuthority.create("fairlead agents", 1);
    const proof = made({ signer: await own.keyPem(), of: new X509Certificate(own.pem) });
    await expect(verify(proof)).rejects.toMatchObject(refusedWith(/not of this relay's authority/));
  });
});
