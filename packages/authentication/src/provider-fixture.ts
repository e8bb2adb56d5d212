import type { RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { CertificateAuthority } from "@fairlead/certificates";
import { type Adapter, type JWK, Provider } from "oidc-provider";
import { Agent, fetch } from "undici";
import { AUDIENCE } from "./issuer-fixture.ts";

const CLIENT = { client_id: "jane", client_secret: "a-secret-of-the-test-only" };

/** A real OpenID provider (node-oidc-provider) over https, that can be given other keys, and be away. */
export class ProviderFixture {
  readonly url: string;
  /** How many connections came. */
  connections = 0;
  readonly #server: Server;
  readonly #authority: CertificateAuthority;
  #answer: RequestListener = (_request, response) => response.writeHead(503).end();
  #isAway = false;

  private constructor(server: Server, authority: CertificateAuthority) {
    this.#server = server;
    this.#authority = authority;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => this.#answer(request, response));
    server.on("connection", (socket) => {
      this.connections++;
      if (this.#isAway) socket.destroy();
    });
  }

  static async start(authority: CertificateAuthority): Promise<ProviderFixture> {
    const server = createServer(await authority.issue({ commonName: "provider", hosts: ["127.0.0.1"], days: 1 }));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ProviderFixture(server, authority);
  }

  /**
   * Publishes these keys from now on, and signs by the first.
   *
   * @param keys private keys as JWK, with kid and alg
   * @param tokenSeconds how long its tokens are good for
   */
  use(keys: readonly JWK[], tokenSeconds = 3_600): void {
    this.#answer = makeProvider(this.url, keys, tokenSeconds).callback();
  }

  /** A token of it, by its token endpoint, as any client gets one. */
  async token(): Promise<string> {
    const dispatcher = new Agent({ connect: { ca: this.#authority.pem } });
    const body = new URLSearchParams({ grant_type: "client_credentials", ...CLIENT });
    const answer = await fetch(`${this.url}/token`, { method: "POST", body, dispatcher });
    const { access_token: token } = Object(await answer.json());
    await dispatcher.close();
    if (typeof token !== "string") throw new Error(`the provider gave no token (${answer.status})`);
    return token;
  }

  /** Cuts its connections, and refuses new ones. */
  goAway(): void {
    this.#isAway = true;
    this.#server.closeAllConnections();
  }

  comeBack(): void {
    this.#isAway = false;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function makeProvider(url: string, keys: readonly JWK[], tokenSeconds: number): Provider {
  return new Provider(url, {
    adapter: NothingKept,
    jwks: { keys: [...keys] },
    clients: [
      {
        ...CLIENT,
        token_endpoint_auth_method: "client_secret_post",
        id_token_signed_response_alg: "ES256",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    ttl: { ClientCredentials: tokenSeconds },
    extraTokenClaims: () => ({ groups: ["dev"] }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "urn:fairlead:test",
        getResourceServerInfo: () => ({
          scope: "",
          audience: AUDIENCE,
          accessTokenFormat: "jwt",
          accessTokenTTL: tokenSeconds,
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
}

/** Tokens that are JWTs are not looked up again, so nothing needs to be kept. */
class NothingKept implements Adapter {
  async upsert(): Promise<void> {}
  async find(): Promise<undefined> {}
  async findByUid(): Promise<undefined> {}
  async findByUserCode(): Promise<undefined> {}
  async consume(): Promise<void> {}
  async destroy(): Promise<void> {}
  async revokeByGrantId(): Promise<void> {}
}
