import { readFileSync } from "node:fs";
import { tokenExpiryMs } from "@fairlead/authentication/token-claims";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import * as client from "openid-client";
import { EnvHttpProxyAgent, fetch } from "undici";
import { misuse } from "../misuse.ts";
import { type ClientCredentialsLogin, loginKey, type OpenIdClient, type OpenIdLogin } from "../profiles/profile.ts";
import type { KeptLogin } from "./login-store.ts";

/** How long an answer of the issuer may take, in seconds. */
const ANSWER_SECONDS = 10;

/** What the token endpoint answers (RFC 6749, 5.1; OpenID Connect Core 1.0, 3.1.3.3). */
export type TokenAnswer = Awaited<ReturnType<typeof client.clientCredentialsGrant>>;

/**
 * Asks an OpenID provider what it supports (OpenID Connect Discovery 1.0, 4). All that is asked of it later goes by the
 * same way: the system's authorities or its own, and HTTPS_PROXY.
 *
 * @throws FairleadError UNREACHABLE, or MALFORMED_REQUEST for a file that cannot be read
 */
export async function discover(of: OpenIdClient): Promise<client.Configuration> {
  const { issuer, clientId, issuerCa, clientSecretFile } = of;
  const tls = issuerCa === undefined ? {} : { ca: readText(issuerCa, "the authority of the issuer's certificate") };
  const dispatcher = new EnvHttpProxyAgent({ connect: tls, requestTls: tls });
  const secret = clientSecretFile === undefined ? undefined : readText(clientSecretFile, "the client's secret").trim();
  const customFetch = (url: string, options: object) =>
    fetch(url, { ...options, dispatcher }) as unknown as Promise<Response>;
  return explained(issuer, () =>
    client.discovery(
      new URL(issuer),
      clientId,
      {},
      secret === undefined ? client.None() : client.ClientSecretPost(secret),
      {
        [client.customFetch]: customFetch,
        timeout: ANSWER_SECONDS,
      },
    ),
  );
}

/** What is asked of the provider with each grant. */
export function grantParameters({ scopes, resource }: OpenIdClient): Record<string, string> {
  return { scope: scopes.join(" "), ...(resource !== undefined && { resource }) };
}

/**
 * What is to be kept of the provider's answer.
 *
 * @param relay the origin that the token is for
 * @param before what it takes the place of, if it does: a provider need not give a new refresh token
 * @throws FairleadError TOKEN_REFUSED if the token that counts is not in it, or does not say when it expires
 */
export function keptLogin(
  of: OpenIdLogin | ClientCredentialsLogin,
  relay: string,
  answer: TokenAnswer,
  before?: KeptLogin,
): KeptLogin {
  // There is no ID token without a person (OpenID Connect Core 1.0, 3.1.3.3).
  const byId = of.kind === "openid" && of.resource === undefined;
  const token = byId ? answer.id_token : answer.access_token;
  if (token === undefined) {
    const sentence = before
      ? `${of.issuer} renews no ID tokens; run \`fairlead login\` again, or let access tokens count (login.resource)`
      : `${of.issuer} gave no ID token; ask for the scope "openid"`;
    throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence);
  }
  const obtainedAtMs = Date.now();
  const lasts = answer.expires_in === undefined ? undefined : obtainedAtMs + answer.expires_in * 1_000;
  const expiresAtMs = tokenExpiryMs(token) ?? (byId ? undefined : lasts);
  if (expiresAtMs === undefined) {
    const sentence = `the token of ${of.issuer} does not say when it expires`;
    throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence);
  }
  const refreshToken = answer.refresh_token ?? before?.refreshToken;
  const by = loginKey(of);
  return { relay, by, token, obtainedAtMs, expiresAtMs, ...(refreshToken !== undefined && { refreshToken }) };
}

/**
 * Does something with a provider, and says what fails in our errors.
 *
 * @throws FairleadError TOKEN_REFUSED for what the provider refuses, UNREACHABLE for the rest
 */
export async function explained<T>(issuer: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof FairleadError) throw cause;
    const { error, error_description: description, code, message } = Object(cause);
    const isRefusal = cause instanceof client.ResponseBodyError || cause instanceof client.AuthorizationResponseError;
    if (isRefusal) {
      const sentence = `the issuer ${issuer} refuses: ${description ?? error}${description ? ` (${error})` : ""}`;
      throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence, { cause });
    }
    const reason = Object(Object(cause).cause).code ?? Object(Object(cause).cause).message ?? message;
    const sentence = `logging in at ${issuer} failed: ${reason}${code === undefined ? "" : ` (${code})`}`;
    throw new FairleadError(ErrorCode.UNREACHABLE, Hop.CLIENT_PROXY, sentence, { cause });
  }
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const sentence = `${what} cannot be read from ${file}`;
    throw misuse(sentence, cause);
  }
}
