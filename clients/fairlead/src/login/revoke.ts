import { tokenRevocation } from "openid-client";
import type { OpenIdClient } from "../profiles/profile.ts";
import { discover, explained } from "./openid.ts";

/**
 * Has the issuer take a refresh token back (RFC 7009), where it can.
 *
 * @throws FairleadError UNREACHABLE, TOKEN_REFUSED
 */
export async function revoke(of: OpenIdClient, refreshToken: string): Promise<void> {
  const provider = await discover(of);
  if (provider.serverMetadata().revocation_endpoint === undefined) return;
  await explained(of.issuer, () => tokenRevocation(provider, refreshToken, { token_type_hint: "refresh_token" }));
}
