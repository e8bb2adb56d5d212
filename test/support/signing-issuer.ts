import { createServer, type Server } from "node:https";
import { CertificateAuthority } from "@fairlead/certificates";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";

/** A key that signs, and its public half as the issuer shows it. */
interface SigningKey {
  readonly sign: CryptoKey;
  readonly shown: JWK;
}

/**
 * An issuer that signs whatever it is told to, wrong things too: for faults that a real provider will not produce.
 * It shows one key at its own address and another one at `/elsewhere`, so that two verifiers can be given different keys.
 */
export class SigningIssuer {
  readonly url: string;
  readonly certificateAuthority: string;
  /** How often somebody has asked it for anything. */
  asked = 0;
  readonly #server: Server;
  readonly #keys: { own: SigningKey; elsewhere: SigningKey };

  private constructor(url: string, ca: string, server: Server, keys: { own: SigningKey; elsewhere: SigningKey }) {
    this.url = url;
    this.certificateAuthority = ca;
    this.#server = server;
    this.#keys = keys;
  }

  static async start(): Promise<SigningIssuer> {
    const authority = await CertificateAuthority.create("test issuer authority", 1);
    const certified = await authority.issue({ commonName: "test issuer", hosts: ["127.0.0.1"], days: 1 });
    const keys = { own: await newKey(), elsewhere: await newKey() };
    const server = createServer(certified);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the issuer has no port");
    const url = `https://127.0.0.1:${address.port}`;
    server.on("request", (request, response) => {
      const base = request.url?.startsWith("/elsewhere/") ? `${url}/elsewhere` : url;
      const key = base === url ? keys.own : keys.elsewhere;
      const isKeys = request.url?.endsWith("/keys");
      response.end(JSON.stringify(isKeys ? { keys: [key.shown] } : { issuer: url, jwks_uri: `${base}/keys` }));
    });
    const issuer = new SigningIssuer(url, authority.pem, server, keys);
    server.on("connection", () => issuer.asked++);
    return issuer;
  }

  /** The public key that it shows. */
  get shownKey(): JWK {
    return this.#keys.own.shown;
  }

  /** Where another key is shown for the same issuer. */
  get elsewhere(): string {
    return `${this.url}/elsewhere/.well-known/openid-configuration`;
  }

  /** An entry of AuthenticationConfiguration's `jwt`. */
  entry(audiences: readonly string[], discoveryURL?: string): object {
    const { url, certificateAuthority } = this;
    const audience = { audiences, audienceMatchPolicy: "MatchAny" };
    const issuer = { url, certificateAuthority, ...audience, ...(discoveryURL && { discoveryURL }) };
    const mapping = (claim: string) => ({ claim, prefix: "" });
    return { issuer, claimMappings: { username: mapping("email"), groups: mapping("groups") } };
  }

  /** A token that is good for ten minutes and the audience `fairlead`, but for what `claims` says otherwise. */
  async token(claims: JWTPayload = {}, signedBy: "own" | "elsewhere" = "own"): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const standard = {
      iss: this.url,
      aud: "fairlead",
      iat: now,
      exp: now + 600,
      email: "alice@example.com",
      email_verified: true,
      groups: ["dev"],
    };
    const { sign, shown } = this.#keys[signedBy];
    return new SignJWT({ ...standard, ...claims })
      .setProtectedHeader({ alg: "ES256", kid: shown.kid ?? "" })
      .sign(sign);
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** Both keys bear the same id: a verifier cannot tell them apart by it. */
async function newKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  return { sign: privateKey, shown: { ...(await exportJWK(publicKey)), kid: "the-key", alg: "ES256", use: "sig" } };
}
