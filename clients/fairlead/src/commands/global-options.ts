import { refuseUnverifiedTls } from "@fairlead/service";
import { InvalidArgumentError } from "commander";
import { misuse } from "../misuse.ts";
import { connectToRelay, type RelayConnection } from "../relay/relay-connection.ts";
import { tokenSource } from "../relay/token-source.ts";
import { callerOf } from "./caller.ts";
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
  const { relay, relayCa, token, ...owner } = callerOf(options, tokenOf);
  return connectToRelay(relay, relayCa, token, owner);
}

/** Reads `key=value` pairs. @throws FairleadError for one that is not */
export function parseLabels(pairs: readonly string[]): Record<string, string> {
  const entries = pairs.map((pair) => {
    const match = /^([^=]+)=(.*)$/.exec(pair);
    if (match) return [match[1] ?? "", match[2] ?? ""] as const;
    throw misuse(`${pair} is not a label; write key=value`);
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
