import { X509Certificate } from "node:crypto";
import { CertificateAuthority, type CertifyOptions, requestedKey } from "@fairlead/certificates";
import { EnrolmentService, TunnelService } from "@fairlead/protocol";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { AgentIdentity, clusterOf, clusterUri } from "./index.ts";

let authority: CertificateAuthority;
beforeAll(async () => {
  authority = await CertificateAuthority.create("agents", 1);
});

async function files(options: Partial<CertifyOptions> = {}) {
  const { key, request } = await requestedKey();
  const says = { commonName: "prod", uri: clusterUri("prod"), lifetimeMs: 3_600_000, ...options };
  const certificate = new X509Certificate(await authority.certify(request, says)).toString();
  return { key, certificate };
}

describe("an agent's identity", () => {
  it("is of the cluster that its certificate names", async () => {
    expect(new AgentIdentity(await files()).cluster).toBe("prod");
  });

  it.each(["fairlead:cluster:Prod", "fairlead:cluster:", "fairlead:cluster:a, URI:fairlead:cluster:b", "https://prod"])(
    "is none if the certificate names %s",
    async (uri) => {
      const { key, certificate } = await files({ uri });
      expect(clusterOf(new X509Certificate(certificate))).toBeUndefined();
      expect(() => new AgentIdentity({ key, certificate })).toThrow("it names no cluster");
    },
  );

  it("is none if the key is another's", async () => {
    const [{ certificate }, { key }] = [await files(), await files()];
    expect(() => new AgentIdentity({ key, certificate })).toThrow("is not the key's");
  });

  it.each([86_400_000, 6_000])("is to be renewed at two thirds of a life of %d ms", async (lifetimeMs) => {
    const now = Date.now();
    const { renewAtMs, expiresAtMs } = new AgentIdentity(await files({ lifetimeMs }));
    expect(Math.abs(expiresAtMs - now - lifetimeMs)).toBeLessThan(2_000);
    expect(renewAtMs - now).toBeGreaterThan(lifetimeMs * 0.4);
    expect(renewAtMs - now).toBeLessThan(lifetimeMs * 0.7);
  });
});

describe("a proof", () => {
  it("is signed by the certificate's key and names the method alone that it is for", async () => {
    const identity = new AgentIdentity(await files());
    const proof = await identity.prove(TunnelService.method.attach);
    const { x5c = [] } = decodeProtectedHeader(proof);
    const certificate = new X509Certificate(Buffer.from(x5c[0] ?? "", "base64"));
    const { payload } = await jwtVerify(proof, certificate.publicKey, { typ: "fairlead-agent+jwt" });
    expect(payload.aud).toBe("/fairlead.tunnel.v1alpha1.TunnelService/Attach");
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
  });

  it("is another each time", async () => {
    const identity = new AgentIdentity(await files());
    const ids = await Promise.all(
      [1, 2].map(async () => decodeJwt(await identity.prove(EnrolmentService.method.renew)).jti),
    );
    expect(new Set(ids).size).toBe(2);
  });
});
