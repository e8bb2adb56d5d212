import * as client from "openid-client";
import type { OpenIdClient } from "../profiles/profile.ts";
import { explained, grantParameters, type TokenAnswer } from "./openid.ts";
import { RedirectListener } from "./redirect-listener.ts";

/** What a login by browser needs of the user. */
export interface BrowserLogin {
  /** The port that the issuer sends the browser back to; 0 for any. */
  redirectPort: number;
  /** Shows the user the address, and opens it if it can. */
  show(url: URL): void;
  /** Gives the login up. */
  signal: AbortSignal;
}

/**
 * Logs a person in by their browser: authorization code with PKCE (RFC 7636), state and nonce, and a redirect to loopback
 * (RFC 8252).
 *
 * @returns the token endpoint's answer
 * @throws FairleadError TOKEN_REFUSED, UNREACHABLE; the signal's reason
 */
export async function loginByBrowser(
  provider: client.Configuration,
  of: OpenIdClient,
  { redirectPort, show, signal }: BrowserLogin,
): Promise<TokenAnswer> {
  const [pkceCodeVerifier, state, nonce] = [
    client.randomPKCECodeVerifier(),
    client.randomState(),
    client.randomNonce(),
  ];
  const listener = new RedirectListener(state);
  try {
    const redirect_uri = await listener.listen(redirectPort);
    const parameters = { ...grantParameters(of), redirect_uri, state, nonce };
    const code_challenge = await client.calculatePKCECodeChallenge(pkceCodeVerifier);
    const challenge = { code_challenge, code_challenge_method: "S256" };
    // Without a prompt OpenID Connect providers give no refresh token for offline_access (Core 1.0, 11).
    const prompt = of.scopes.includes("offline_access") ? { prompt: "consent" } : {};
    show(client.buildAuthorizationUrl(provider, { ...parameters, ...challenge, ...prompt }));
    const expected = { pkceCodeVerifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    return await listener.finished(signal, (url) =>
      explained(of.issuer, () =>
        client.authorizationCodeGrant(provider, url, expected, of.resource ? { resource: of.resource } : {}),
      ),
    );
  } finally {
    listener.close();
  }
}
