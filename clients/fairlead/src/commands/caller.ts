import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { loginToken } from "../login/login-token.ts";
import { selectedProfile } from "../profiles/profiles-file.ts";
import { type TokenSource, tokenIdentity, tokenSource } from "../relay/token-source.ts";
import type { RelayOptions } from "./relay-options.ts";

/** Who a command is run by, and at which relay. */
export interface Caller {
  /** The relay's address. */
  relay: string;
  /** The file with the authority of its certificate; undefined for the system's. */
  relayCa: string | undefined;
  token: TokenSource;
  /** Whose token that is, in words. */
  identity: string;
}

/**
 * The caller and the relay that the options name, or the user's profile.
 *
 * @param tokenOf gives the token source; by default one that fails at once if there is no token
 * @throws FairleadError if they name none
 */
export function callerOf(options: RelayOptions, tokenOf = tokenSource): Caller {
  const { name = "", profile } = selectedProfile(options) ?? {};
  const relay = options.relay ?? profile?.relay;
  if (relay === undefined) {
    const sentence = "which relay? run `fairlead login https://HOST:PORT`, or give --relay, or set FAIRLEAD_RELAY";
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, sentence);
  }
  if (profile && URL.parse(relay)?.origin !== URL.parse(profile.relay)?.origin) {
    const sentence = `profile ${name} is for the relay ${profile.relay}, and not for ${relay}; leave one of the two out (they may be in FAIRLEAD_PROFILE and FAIRLEAD_RELAY)`;
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, sentence);
  }
  const { login } = profile ?? {};
  const ofLogin = login && loginToken({ name, relay: URL.parse(relay)?.origin ?? relay, login });
  return {
    relay,
    relayCa: options.relayCa ?? profile?.relayCa,
    token: tokenOf(options.tokenFile, ofLogin),
    identity: tokenIdentity(options.tokenFile, login && name),
  };
}
