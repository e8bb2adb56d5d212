import { loginToken } from "../login/login-token.ts";
import { misuse } from "../misuse.ts";
import { selectedProfile } from "../profiles/profiles-file.ts";
import { type TokenOwner, type TokenSource, tokenOwner, tokenSource } from "../relay/token-source.ts";
import type { RelayOptions } from "./relay-options.ts";

/** Who a command is run by, and at which relay. */
export interface Caller extends TokenOwner {
  /** The relay's address. */
  relay: string;
  /** The file with the authority of its certificate; undefined for the system's. */
  relayCa: string | undefined;
  token: TokenSource;
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
    throw misuse(sentence);
  }
  if (profile && URL.parse(relay)?.origin !== URL.parse(profile.relay)?.origin) {
    const sentence = `profile ${name} is for the relay ${profile.relay}, and not for ${relay}; leave one of the two out (they may be in FAIRLEAD_PROFILE and FAIRLEAD_RELAY)`;
    throw misuse(sentence);
  }
  const { login } = profile ?? {};
  const ofLogin = login && loginToken({ name, relay: URL.parse(relay)?.origin ?? relay, login });
  const token = tokenOf(options.tokenFile, ofLogin);
  const owner = tokenOwner(options.tokenFile, token, login && name);
  return { relay, relayCa: options.relayCa ?? profile?.relayCa, token, ...owner };
}
