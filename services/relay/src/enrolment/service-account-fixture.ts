import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from "jose";
import type { ServiceAccountJoin } from "./service-account-join.ts";

/** In each token, and in no error. */
export const CANARY = "canary-7f3a";

/** A cluster's issuer of service accounts' tokens, as kube-apiserver is one: its keys are handed over. */
export class ApiserverFixture {
  readonly issuer: string;
  /** The keys that it has published, as JSON. */
  jwks = "";
  #key: { kid: string; privateKey: CryptoKey; jwk: JWK } | undefined;

  private constructor(issuer: string) {
    this.issuer = issuer;
  }

  static async start(issuer = "https://kubernetes.default.svc"): Promise<ApiserverFixture> {
    const apiserver = new ApiserverFixture(issuer);
    await apiserver.rotate();
    return apiserver;
  }

  /** Signs by a new key from now on, and publishes that one alone. */
  async rotate(kid = crypto.randomUUID()): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
    this.#key = { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: "RS256", use: "sig" } };
    this.jwks = JSON.stringify({ keys: [this.#key.jwk] });
  }

  /** What an administrator registers of it, for the account fairlead/fairlead-agent. */
  join(cluster: string, changes: Partial<ServiceAccountJoin> = {}): ServiceAccountJoin {
    return {
      serviceAccount: "fairlead/fairlead-agent",
      issuer: this.issuer,
      jwks: this.jwks,
      certificateAuthority: undefined,
      audience: audienceOf(cluster),
      ...changes,
    };
  }

  /** The agent's token for a cluster, good for an hour; `undefined` takes a claim or a header out. */
  token(cluster: string, claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): Promise<string> {
    if (this.#key === undefined) throw new Error("the apiserver has no key");
    const full: JWTHeaderParameters = { alg: "RS256", kid: this.#key.kid, ...header };
    return new SignJWT({ ...claimsFor(this.issuer, cluster), ...claims })
      .setProtectedHeader(full)
      .sign(this.#key.privateKey);
  }
}

/** The audience that a cluster is registered with. */
export function audienceOf(cluster: string): string {
  return `https://relay.example.com/clusters/${cluster}`;
}

/** Claims as kube-apiserver gives them to a pod's projected token. */
export function claimsFor(iss: string, cluster: string) {
  const now = Math.floor(Date.now() / 1000);
  const [pod, serviceaccount] = [
    { name: "fairlead-agent-0", uid: "1" },
    { name: "fairlead-agent", uid: "2" },
  ];
  return {
    ...{ iss, aud: [audienceOf(cluster)], sub: "system:serviceaccount:fairlead:fairlead-agent", jti: CANARY },
    ...{ iat: now, nbf: now, exp: now + 3_600 },
    "kubernetes.io": { namespace: "fairlead", pod, serviceaccount },
  };
}
