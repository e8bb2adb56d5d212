import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:https";
import { CertificateAuthority } from "@fairlead/certificates";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";

/** Who may log in there, by e-mail address. */
export interface ProviderPerson {
  email: string;
  groups: string[];
}

/** How long what it gives is good for, in seconds; counts from the next token on. */
interface Lives {
  idToken: number;
  refreshToken: number;
}

/** The client that people log in with, and the one of a machine. */
export const PEOPLES_CLIENT = "fairlead";
export const MACHINES_CLIENT = { id: "robot@example.com", secret: "a-secret-of-the-tests" };
const SCOPES = ["openid", "email", "groups", "offline_access"];
const RESOURCE = "urn:fairlead:robots";

/**
 * A real OpenID provider (node-oidc-provider) where people log in by a form, with whatever password: authorization code with
 * PKCE, device code, refresh tokens that count once, revocation, client credentials.
 */
export class LoginProvider {
  readonly url: string;
  /** PEM of the authority of its certificate. */
  readonly certificateAuthority: string;
  readonly lives: Lives = { idToken: 3_600, refreshToken: 86_400 };
  /** How often its token endpoint was asked, by grant. */
  readonly grants: Record<string, number> = {};
  readonly #server: Server;
  #provider: Provider | undefined;

  private constructor(url: string, certificateAuthority: string, server: Server) {
    this.url = url;
    this.certificateAuthority = certificateAuthority;
    this.#server = server;
  }

  static async start(people: readonly ProviderPerson[], port = 0): Promise<LoginProvider> {
    const authority = await CertificateAuthority.create("login provider's authority", 1);
    const server = createServer(await authority.issue({ commonName: "login provider", hosts: ["127.0.0.1"], days: 1 }));
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the provider has no port");
    const started = new LoginProvider(`https://127.0.0.1:${address.port}`, authority.pem, server);
    await started.#serve(people);
    return started;
  }

  /** What the relay is told of it, so that `fairlead login` needs nothing but the relay. */
  get login(): object {
    return { issuer: this.url, clientId: PEOPLES_CLIENT, scopes: SCOPES };
  }

  /** It in AuthenticationConfiguration: people by their ID tokens, the machine by access tokens. */
  get entry(): object {
    return {
      issuer: {
        url: this.url,
        audiences: [PEOPLES_CLIENT, RESOURCE],
        audienceMatchPolicy: "MatchAny",
        certificateAuthority: this.certificateAuthority,
      },
      claimMappings: { username: { claim: "email", prefix: "" }, groups: { claim: "groups", prefix: "" } },
    };
  }

  /** What the machine asks for its tokens for. */
  get resource(): string {
    return RESOURCE;
  }

  /** Neither answers nor takes connections until {@link comeBack}. */
  goAway(): void {
    this.#server.removeAllListeners("request");
    this.#server.on("request", (request) => request.socket.destroy());
    this.#server.closeAllConnections();
  }

  comeBack(): void {
    this.#server.removeAllListeners("request");
    if (this.#provider) this.#server.on("request", this.#provider.callback());
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(people: readonly ProviderPerson[]): Promise<void> {
    const { privateKey } = await generateKeyPair("ES256", { extractable: true });
    const key = { ...(await exportJWK(privateKey)), kid: randomBytes(8).toString("hex"), use: "sig", alg: "ES256" };
    const claimsOf = (email: string) => {
      const person = people.find((each) => each.email === email);
      return person && { email, email_verified: true, groups: person.groups };
    };
    this.#provider = new Provider(this.url, {
      jwks: { keys: [key] },
      clients: [
        {
          client_id: PEOPLES_CLIENT,
          application_type: "native",
          token_endpoint_auth_method: "none",
          id_token_signed_response_alg: "ES256",
          grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
          redirect_uris: ["http://127.0.0.1/callback"],
          response_types: ["code"],
        },
        {
          client_id: MACHINES_CLIENT.id,
          client_secret: MACHINES_CLIENT.secret,
          token_endpoint_auth_method: "client_secret_post",
          id_token_signed_response_alg: "ES256",
          grant_types: ["client_credentials"],
          redirect_uris: [],
          response_types: [],
        },
      ],
      pkce: { required: () => true },
      conformIdTokenClaims: false,
      claims: { openid: ["sub"], email: ["email", "email_verified"], groups: ["groups"] },
      scopes: SCOPES,
      findAccount: (_context, sub) => {
        const claims = claimsOf(sub);
        return claims && { accountId: sub, claims: () => ({ sub, ...claims }) };
      },
      extraTokenClaims: (_context, token) => ("clientId" in token ? claimsOf(token.clientId ?? "") : undefined),
      rotateRefreshToken: true,
      issueRefreshToken: (_context, _client, code) => code.scopes.has("offline_access"),
      ttl: {
        IdToken: () => this.lives.idToken,
        AccessToken: () => this.lives.idToken,
        ClientCredentials: () => this.lives.idToken,
        RefreshToken: () => this.lives.refreshToken,
      },
      features: {
        devInteractions: { enabled: true },
        deviceFlow: { enabled: true },
        revocation: { enabled: true },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: (_context, client) => (client.clientId === MACHINES_CLIENT.id ? RESOURCE : []),
          getResourceServerInfo: () => ({
            scope: "",
            audience: RESOURCE,
            accessTokenFormat: "jwt",
            accessTokenTTL: this.lives.idToken,
            jwt: { sign: { alg: "ES256" } },
          }),
        },
      },
    });
    this.#provider.use(async (context, next) => {
      await next();
      const grant = Object(Object(context).oidc)?.params?.grant_type;
      if (typeof grant === "string") this.grants[grant] = (this.grants[grant] ?? 0) + 1;
    });
    this.comeBack();
  }
}
