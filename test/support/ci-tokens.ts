import { createServer, type IncomingMessage, type Server } from "node:http";
import type { SigningIssuer } from "./signing-issuer.ts";

/** What a job has to show to get a token, as GitHub and Azure hand it out. */
const JOB_SECRET = "the-jobs-own-secret";

/** The claims of a job of GitHub Actions (docs.github.com, "OpenID Connect reference"). */
export function githubClaims(change: object = {}): object {
  return {
    sub: "repo:acme/shop:environment:production",
    repository: "acme/shop",
    repository_owner: "acme",
    ref: "refs/heads/main",
    environment: "production",
    event_name: "push",
    job_workflow_ref: "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
    run_id: "1",
    ...change,
  };
}

/** The claims of a service connection of Azure Pipelines (learn.microsoft.com, "workload identity federation"). */
export function azureClaims(change: object = {}): object {
  return { sub: "sc://acme/shop/production", aud: "api://AzureADTokenExchange", ...change };
}

/** The addresses where GitHub and Azure give jobs their tokens, with an issuer of our own behind them. */
export class CiTokens {
  readonly #server: Server;
  readonly #issuer: SigningIssuer;
  #port = 0;
  /** What the next token of a GitHub job says. */
  github = githubClaims();
  /** Likewise of an Azure job. */
  azure = azureClaims();
  /** The tokens that were given: none of them may be seen anywhere. */
  readonly given: string[] = [];

  private constructor(issuer: SigningIssuer) {
    this.#issuer = issuer;
    this.#server = createServer(async (request, response) => {
      const answer = await this.#answer(request);
      response.writeHead(answer ? 200 : 401, { "content-type": "application/json" }).end(JSON.stringify(answer ?? {}));
    });
  }

  static async start(issuer: SigningIssuer): Promise<CiTokens> {
    const tokens = new CiTokens(issuer);
    await new Promise<void>((resolve) => tokens.#server.listen(0, "127.0.0.1", resolve));
    const address = tokens.#server.address();
    tokens.#port = typeof address === "object" && address ? address.port : 0;
    return tokens;
  }

  /** What GitHub's runner gives each step of a job with `id-token: write`. */
  get githubEnv(): Record<string, string> {
    const url = `http://127.0.0.1:${this.#port}/github?api-version=2.0`;
    return { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: JOB_SECRET };
  }

  /** What the agent of Azure Pipelines gives each step; the job's own token it gives only where the step asks. */
  get azureEnv(): Record<string, string> {
    return { SYSTEM_OIDCREQUESTURI: `http://127.0.0.1:${this.#port}/azure` };
  }

  get secret(): string {
    return JOB_SECRET;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer({ url = "", method, headers }: IncomingMessage): Promise<object | undefined> {
    if (headers.authorization !== `Bearer ${JOB_SECRET}`) return undefined;
    const { pathname, searchParams } = new URL(url, "http://ci");
    if (pathname === "/github" && method === "GET") {
      return { value: await this.#token({ ...this.github, aud: searchParams.get("audience") }) };
    }
    const isAsked = searchParams.get("serviceConnectionId") === "11111111-2222-3333-4444-555555555555";
    if (pathname !== "/azure" || method !== "POST" || !isAsked) return undefined;
    return { oidcToken: await this.#token(this.azure) };
  }

  async #token(claims: object): Promise<string> {
    const { email: _none, groups: _neither, ...shape } = { email: undefined, groups: undefined, ...claims };
    const token = await this.#issuer.token({
      email: undefined,
      groups: undefined,
      email_verified: undefined,
      ...shape,
    });
    this.given.push(token);
    return token;
  }
}
