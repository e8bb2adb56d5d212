import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { refuseUnverifiedTls } from "@fairlead/service";
import { InvalidArgumentError } from "commander";
import { loginToken } from "../login/login-token.ts";
import { selectedProfile } from "../profiles/profiles-file.ts";
import { connectToRelay, type RelayConnection } from "../relay/relay-connection.ts";
import { tokenIdentity, tokenSource } from "../relay/token-source.ts";
import type { RelayOptions } from "./relay-options.ts";

export type { RelayOptions };

/**
 * Connects to the relay that the options name, or the user's profile.
 *
 * @param tokenOf gives the token source; by default one that fails at once if there is no token
 * @throws FairleadError if they name none
 */
export function relayOf(options: RelayOptions, tokenOf = tokenSource): RelayConnection {
  refuseUnverifiedTls();
  const { name = "", profile } = selectedProfile(options) ?? {};
  const relay = options.relay ?? profile?.relay;
  if (relay === undefined) {
    const sentence = "which relay? run `fairlead login https://HOST:PORT`, or give --relay, or set FAIRLEAD_RELAY";
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, sentence);
  }
  const { login } = profile ?? {};
  const ofLogin = login && loginToken({ name, relay: URL.parse(relay)?.origin ?? relay, login });
  const token = tokenOf(options.tokenFile, ofLogin);
  const identity = tokenIdentity(options.tokenFile, login && name);
  return connectToRelay(relay, options.relayCa ?? profile?.relayCa, token, identity);
}

/** Reads `key=value` pairs. @throws FairleadError for one that is not */
export function parseLabels(pairs: readonly string[]): Record<string, string> {
  const entries = pairs.map((pair) => {
    const match = /^([^=]+)=(.*)$/.exec(pair);
    if (match) return [match[1] ?? "", match[2] ?? ""] as const;
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, `${pair} is not a label; write key=value`);
  });
  return Object.fromEntries(entries);
}

/** Collects an option that may be given several times. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

/** Reads a number of seconds. @throws InvalidArgumentError for what is none */
export function seconds(value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError("a whole number of seconds is due");
  return Number(value);
}

/** Reads a port. @throws InvalidArgumentError for what is none */
export function port(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > 65_535)
    throw new InvalidArgumentError("a port is 1 to 65535");
  return number;
}
