import { tokenExpiryMs } from "@fairlead/authentication/token-claims";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { type ClientCredentialsLogin, type Login, loginKey, type OpenIdLogin } from "../profiles/profile.ts";
import { type TokenSource, tokenSource } from "../relay/token-source.ts";
import { type KeptLogin, LoginStore } from "./login-store.ts";
import { MemoryPlace } from "./memory-place.ts";
import { type LoginPlace, RenewedToken } from "./renewed-token.ts";

/** A profile whose relay and login are known. */
export interface LoginOf {
  name: string;
  /** The relay's origin. */
  relay: string;
  login: Login;
}

/**
 * Gives the token of a profile's login, renewed in time.
 *
 * @param place where what is renewed is kept, if not with the user's logins
 */
export function loginToken({ name, relay, login }: LoginOf, place: LoginPlace = new LoginStore(name)): TokenSource {
  switch (login.kind) {
    case "openid":
      return renewed(relay, loginKey(login), place, (before) => refreshed(name, login, before));
    case "client-credentials":
      return renewed(relay, loginKey(login), place, async () => clientCredentials(relay, login));
    case "github-actions":
      return ofJob(relay, login, async () => (await import("./workload.ts")).githubActionsToken(login));
    case "azure-pipelines":
      return ofJob(relay, login, async () => (await import("./workload.ts")).azurePipelinesToken(login));
    case "token-file":
      return tokenSource(login.file);
  }
}

function renewed(...parts: ConstructorParameters<typeof RenewedToken>): TokenSource {
  const token = new RenewedToken(...parts);
  return () => token.get();
}

function ofJob(relay: string, login: Login, ask: () => Promise<string>): TokenSource {
  const by = loginKey(login);
  return renewed(relay, by, new MemoryPlace(), async () => {
    const token = await ask();
    return { relay, by, token, obtainedAtMs: Date.now(), expiresAtMs: tokenExpiryMs(token) ?? 0 };
  });
}

/** No window is ever opened here: a program in the background would open one after the other while nobody is there. */
async function refreshed(name: string, login: OpenIdLogin, before: KeptLogin | undefined): Promise<KeptLogin> {
  if (before === undefined) throw ended(name, "you are not logged in");
  if (before.refreshToken === undefined) throw ended(name, "your login has ended, and its issuer lets none be renewed");
  const { discover, explained, grantParameters, keptLogin } = await import("./openid.ts");
  const { refreshTokenGrant } = await import("openid-client");
  const { refreshToken } = before;
  const provider = await discover(login);
  try {
    const answer = await explained(login.issuer, () =>
      refreshTokenGrant(provider, refreshToken, grantParameters(login)),
    );
    return keptLogin(login, before.relay, answer, before);
  } catch (cause) {
    if (!(cause instanceof FairleadError) || cause.code !== ErrorCode.TOKEN_REFUSED) throw cause;
    throw ended(name, `your login has ended: ${cause.message}`, cause);
  }
}

/** Gets a token for a machine by its own secret. */
async function clientCredentials(relay: string, login: ClientCredentialsLogin): Promise<KeptLogin> {
  const { discover, explained, grantParameters, keptLogin } = await import("./openid.ts");
  const { clientCredentialsGrant } = await import("openid-client");
  const provider = await discover(login);
  const answer = await explained(login.issuer, () => clientCredentialsGrant(provider, grantParameters(login)));
  return keptLogin(login, relay, answer);
}

function ended(name: string, why: string, cause?: unknown): FairleadError {
  const sentence = `${why}; run \`fairlead login --profile ${name}\``;
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence, { cause });
}
