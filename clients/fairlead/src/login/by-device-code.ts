import * as client from "openid-client";
import { misuse } from "../misuse.ts";
import type { OpenIdClient } from "../profiles/profile.ts";
import { explained, grantParameters, type TokenAnswer } from "./openid.ts";

/** What the user is shown: where to go with a browser of another machine, and what to enter there. */
export interface DeviceCode {
  address: string;
  code: string;
}

/** Whether the provider has it. */
export function offersDeviceCode(provider: client.Configuration): boolean {
  return provider.serverMetadata().device_authorization_endpoint !== undefined;
}

/**
 * Logs a person in who has no browser here (RFC 8628).
 *
 * @returns the token endpoint's answer
 * @throws FairleadError TOKEN_REFUSED, UNREACHABLE; the signal's reason
 */
export async function loginByDeviceCode(
  provider: client.Configuration,
  of: OpenIdClient,
  { show, signal }: { show(code: DeviceCode): void; signal: AbortSignal },
): Promise<TokenAnswer> {
  if (!offersDeviceCode(provider)) {
    const sentence = `${of.issuer} has no device code login; log in where there is a browser`;
    throw misuse(sentence);
  }
  return explained(of.issuer, async () => {
    const begun = await client.initiateDeviceAuthorization(provider, grantParameters(of));
    show({ address: begun.verification_uri_complete ?? begun.verification_uri, code: begun.user_code });
    const resource = of.resource ? { resource: of.resource } : {};
    return client.pollDeviceAuthorizationGrant(provider, begun, resource, { signal });
  });
}
