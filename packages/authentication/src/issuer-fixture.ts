import type { ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from "jose";
import type { IssuerConfiguration } from "./configuration.ts";

/** A signing key of an issuer, and how tokens name it. */
export interface SigningKey {
  alg: string;
  kid: string;
  privateKey: CryptoKey;
  jwk: JWK;
}

const DISCOVERY_PATH = "/.well-known/openid-configuration";
const KEYS_PATH = "/keys";
export const AUDIENCE = "fairlead";
/** In each token, and in no error. */
export const CANARY = "canary-7f3a";

/** A real HTTPS server that is an issuer of tokens, and can be made to fail. */
export class IssuerFixture {
  readonly url: string;
  /** The paths that were asked for, in order. */
  readonly asked: string[] = [];
  /** How a path is answered, instead of well. */
  readonly answers = new Map<string, (response: ServerResponse) => void>();
  /** The keys that the issuer publishes. */
  published: SigningKey[];
  /** Whether connections are cut instead of served. */
  down = false;
  readonly #server: Server;
  readonly #certificateAuthority: string;

  private constructor(server: Server, certificateAuthority: string, keys: SigningKey[]) {
    this.#server = server;
    this.#certificateAuthority = certificateAuthority;
    this.published = keys;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (socket) => {
      if (this.down) socket.destroy();
    });
    server.on("request", (request, response) => {
      const path = request.url ?? "";
      this.asked.push(path);
      const answer = this.answers.get(path) ?? ((to: ServerResponse) => this.#answer(path, to));
      answer(response);
    });
  }

  /**
   * @param tls its certificate and key
   * @param certificateAuthority who signed that, PEM
   */
  static async start(
    tls: { cert: string; key: string },
    certificateAuthority: string,
    keys: SigningKey[],
  ): Promise<IssuerFixture> {
    const server = createServer(tls);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new IssuerFixture(server, certificateAuthority, keys);
  }

  /** The configuration that trusts it: user name from `sub`, groups from `groups`. */
  configuration(changes: Partial<IssuerConfiguration> = {}): IssuerConfiguration {
    return {
      url: this.url,
      discoveryUrl: undefined,
      certificateAuthority: this.#certificateAuthority,
      audiences: [AUDIENCE],
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

  /** A token of its own, good for an hour; `undefined` takes a claim or a header out. */
  token(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, key = this.#firstKey()) {
    const now = Math.floor(Date.now() / 1000);
    const own = { iss: this.url, aud: AUDIENCE, sub: "jane", jti: CANARY, iat: now, exp: now + 3600 };
    return signed({ ...own, ...claims }, header, key);
  }

  /** How often its keys were fetched. */
  get keyFetches(): number {
    return this.asked.filter((path) => path === KEYS_PATH).length;
  }

  /** Answers the discovery document otherwise. */
  answerDiscovery(answer: (response: ServerResponse) => void): void {
    this.answers.set(DISCOVERY_PATH, answer);
  }

  /** Answers the keys otherwise. */
  answerKeys(answer: (response: ServerResponse) => void): void {
    this.answers.set(KEYS_PATH, answer);
  }

  /** Cuts all connections and refuses new ones. */
  goDown(): void {
    this.down = true;
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #firstKey(): SigningKey {
    const [key] = this.published;
    if (key === undefined) throw new Error("the issuer has no key");
    return key;
  }

  #answer(path: string, response: ServerResponse): void {
    if (path === DISCOVERY_PATH) return sendJson(response, { issuer: this.url, jwks_uri: `${this.url}${KEYS_PATH}` });
    if (path === KEYS_PATH) return sendJson(response, { keys: this.published.map(({ jwk }) => jwk) });
    response.writeHead(404).end();
  }
}

/** Makes a key for signing. */
export async function signingKey(alg: string, kid: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

function signed(claims: Record<string, unknown>, header: Record<string, unknown>, key: SigningKey) {
  const full: JWTHeaderParameters = { alg: key.alg, kid: key.kid, typ: "JWT", ...header };
  return new SignJWT(claims).setProtectedHeader(full).sign(key.privateKey, { crit: { "urn:example:must": true } });
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}
