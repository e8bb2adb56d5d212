import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { IssuerConfiguration } from "@fairlead/authentication";

/** A real HTTPS server that is an issuer of tokens with one ES256 key. */
export class IssuerFixture {
  readonly url: string;
  /** Whether connections are cut instead of served. */
  down = false;
  /** Answers are held back until then. */
  answersAfter: Promise<void> = Promise.resolve();
  /** How often it was asked for something. */
  asked = 0;
  readonly #server: Server;
  readonly #certificateAuthority: string;
  readonly #key: KeyObject = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

  private constructor(server: Server, certificateAuthority: string) {
    this.#server = server;
    this.#certificateAuthority = certificateAuthority;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const jwk = { ...createPublicKey(this.#key).export({ format: "jwk" }), kid: "key", alg: "ES256", use: "sig" };
    const documents: Record<string, object> = {
      "/.well-known/openid-configuration": { issuer: this.url, jwks_uri: `${this.url}/keys` },
      "/keys": { keys: [jwk] },
    };
    server.on("connection", (socket) => {
      if (this.down) socket.destroy();
    });
    server.on("request", async (request, response) => {
      this.asked++;
      await this.answersAfter;
      response.end(JSON.stringify(documents[request.url ?? ""] ?? {}));
    });
  }

  /** @param certificateAuthority who signed its certificate, PEM */
  static async start(tls: { cert: string; key: string }, certificateAuthority: string): Promise<IssuerFixture> {
    const server = createServer(tls);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new IssuerFixture(server, certificateAuthority);
  }

  /** User name from `sub`, groups from `groups`, uid from `oid` where it is asked for. */
  configuration(changes: Partial<IssuerConfiguration> = {}): IssuerConfiguration {
    return {
      url: this.url,
      discoveryUrl: undefined,
      certificateAuthority: this.#certificateAuthority,
      audiences: ["fairlead"],
      username: { claim: "sub", prefix: "" },
      groups: { claim: "groups", prefix: "" },
      uid: undefined,
      extra: [],
      requiredClaims: [],
      claimRules: [],
      userRules: [],
      ...changes,
    };
  }

  /** A token, good for an hour. */
  token(claims: Record<string, unknown> = {}): string {
    const now = Math.floor(Date.now() / 1000);
    const own = { iss: this.url, aud: "fairlead", sub: "jane", iat: now, exp: now + 3600 };
    const input = `${encoded({ alg: "ES256", kid: "key" })}.${encoded({ ...own, ...claims })}`;
    const signature = sign("sha256", Buffer.from(input), { key: this.#key, dsaEncoding: "ieee-p1363" });
    return `${input}.${signature.toString("base64url")}`;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
