import { randomBytes } from "node:crypto";
import { createServer } from "node:https";
import type { CertificateAuthority } from "@fairlead/certificates";
import { exportJWK, generateKeyPair } from "jose";
import { type Adapter, type AdapterPayload, Provider } from "oidc-provider";
import { Agent, fetch } from "undici";

const TOKEN_SECONDS = 12 * 60 * 60;
/** Names the relay and the cluster as what tokens are asked for (RFC 8707); the audience is what they say. */
const RESOURCE = "urn:fairlead:demo";

/** A person of the demo. */
export interface DemoPerson {
  email: string;
  groups: string[];
}

/** An OpenID provider that runs. */
export interface RunningIssuer {
  /** Its `iss`. */
  url: string;
  /** Where tokens are asked for. */
  tokenEndpoint: string;
  /**
   * Gets a token for a person, by the token endpoint, as any client would.
   *
   * @param proof a DPoP proof for the token endpoint: the token is then bound to its key (RFC 9449, 5)
   */
  tokenFor(person: DemoPerson, proof?: string): Promise<string>;
  stop(): void;
}

/**
 * A real OpenID provider for trials. It cannot be used otherwise: it listens on loopback, or where tests say, its signing key lives
 * in this process's memory, and its people are the ones named here.
 *
 * @param authority signs its certificate
 * @param audience what its tokens are for
 * @param host an address of this machine
 */
export async function startIssuer(
  authority: CertificateAuthority,
  audience: string,
  people: readonly DemoPerson[],
  host = "127.0.0.1",
): Promise<RunningIssuer> {
  const server = createServer(await authority.issue({ commonName: "fairlead trial issuer", hosts: [host], days: 30 }));
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the issuer has no port");
  const url = `https://${host}:${address.port}`;
  const secret = randomBytes(32).toString("base64url");
  const provider = await makeProvider(url, audience, people, secret);
  server.on("request", provider.callback());
  return {
    url,
    tokenEndpoint: `${url}/token`,
    tokenFor: (person, proof) => fetchToken(url, authority.pem, person, secret, proof),
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function makeProvider(
  url: string,
  audience: string,
  people: readonly DemoPerson[],
  secret: string,
): Promise<Provider> {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  const key = { ...(await exportJWK(privateKey)), kid: randomBytes(8).toString("hex"), use: "sig", alg: "ES256" };
  const byEmail = new Map(people.map((person) => [person.email, person]));
  return new Provider(url, {
    adapter: MemoryAdapter,
    jwks: { keys: [key] },
    clients: people.map(({ email }) => ({
      client_id: email,
      client_secret: secret,
      token_endpoint_auth_method: "client_secret_post",
      id_token_signed_response_alg: "ES256",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    })),
    ttl: { ClientCredentials: TOKEN_SECONDS },
    extraTokenClaims: (_context, token) => {
      const person = byEmail.get("clientId" in token ? (token.clientId ?? "") : "");
      return person && { email: person.email, email_verified: true, groups: person.groups };
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        getResourceServerInfo: () => ({
          scope: "",
          audience,
          accessTokenFormat: "jwt",
          accessTokenTTL: TOKEN_SECONDS,
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
}

/** Keeps what the provider stores for as long as the demo runs: nothing of it is to outlive it. */
class MemoryAdapter implements Adapter {
  readonly #entries = new Map<string, AdapterPayload>();

  async upsert(id: string, payload: AdapterPayload): Promise<void> {
    this.#entries.set(id, payload);
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    return this.#entries.get(id);
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return [...this.#entries.values()].find((payload) => payload.uid === uid);
  }

  async findByUserCode(code: string): Promise<AdapterPayload | undefined> {
    return [...this.#entries.values()].find((payload) => payload.userCode === code);
  }

  async consume(id: string): Promise<void> {
    const payload = this.#entries.get(id);
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id: string): Promise<void> {
    this.#entries.delete(id);
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    for (const [id, payload] of this.#entries) if (payload.grantId === grantId) this.#entries.delete(id);
  }
}

async function fetchToken(
  url: string,
  ca: string,
  { email }: DemoPerson,
  secret: string,
  proof?: string,
): Promise<string> {
  const dispatcher = new Agent({ connect: { ca } });
  const body = new URLSearchParams({ grant_type: "client_credentials", client_id: email, client_secret: secret });
  const answer = await fetch(`${url}/token`, {
    method: "POST",
    body,
    dispatcher,
    headers: proof === undefined ? {} : { DPoP: proof },
  });
  const { access_token: token } = Object(await answer.json());
  await dispatcher.close();
  if (typeof token !== "string") throw new Error(`the issuer gave no token (${answer.status})`);
  return token;
}
