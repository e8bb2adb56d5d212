import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FairleadError } from "@fairlead/protocol";
import { parse, stringify } from "yaml";
import { exclusively } from "../files/exclusive.ts";
import { configurationFolder, stateFolder } from "../files/folders.ts";
import { writePrivately } from "../files/private-file.ts";
import { misuse } from "../misuse.ts";
import { type Profile, parseProfile } from "./profile.ts";

const LOCK_WAIT_MS = 3_000;
/** A profile's name: it is part of file names. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** The user's profiles. There is no secret in them. */
export interface Profiles {
  /** The one that counts where none is named. */
  current?: string;
  profiles: Record<string, Profile>;
}

/** Where they are: `fairlead/config.yaml` in the user's configuration folder. */
export function profilesFile(): string {
  return join(configurationFolder(), "config.yaml");
}

/** Reads the user's profiles; none if there is no file. @throws FairleadError MALFORMED_REQUEST if it cannot be understood */
export function readProfiles(): Profiles {
  const file = profilesFile();
  const { current, profiles = {}, ...others } = Object(parsed(file));
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw unusable(`${unknown}: not a key (known: current, profiles)`);
  if (current !== undefined && typeof current !== "string") throw unusable("current: a profile's name is due");
  if (typeof profiles !== "object" || profiles === null) throw unusable("profiles: a mapping is due");
  const known = Object.entries(profiles).map(([name, value]) => {
    checkProfileName(name);
    return [name, parseProfile(value, `${file}: profiles.${name}`)] as const;
  });
  return { ...(current !== undefined && { current }), profiles: Object.fromEntries(known) };
}

/** Changes the user's profiles, one process after the other. */
export async function changeProfiles(change: (before: Profiles) => Profiles): Promise<void> {
  await exclusively(join(stateFolder(), "profiles.lock"), LOCK_WAIT_MS, "changes your profiles", () =>
    writePrivately(profilesFile(), stringify(change(readProfiles()))),
  );
}

/** @throws FairleadError MALFORMED_REQUEST for what cannot be a profile's name */
export function checkProfileName(name: string): void {
  if (NAME.test(name)) return;
  const sentence = `${JSON.stringify(name)} cannot be a profile's name; take letters, digits, dots, dashes and underscores`;
  throw misuse(sentence);
}

/** What a profile is named if the user does not say: its relay's host, and the port if it is not 443. */
export function profileNameFor(relay: URL): string {
  return relay.host.replace(/[^A-Za-z0-9.]+/g, "-").replace(/^-/, "");
}

/** The profile of that name. @throws FairleadError MALFORMED_REQUEST that names those there are */
export function profileNamed(profiles: Profiles["profiles"], name: string): Profile {
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (profile) return profile;
  const known = Object.keys(profiles).join(", ") || "none; run `fairlead login https://RELAY`";
  throw misuse(`there is no profile ${name} (there are: ${known})`);
}

/**
 * The profile that a command is for.
 *
 * @param asked the profile's name, and a relay's address, as far as they are given
 * @returns the one of that name; else the one of that relay; else, if no relay is given, the current one
 * @throws FairleadError MALFORMED_REQUEST if there is none of that name
 */
export function selectedProfile(asked: {
  profile?: string | undefined;
  relay?: string | undefined;
}): { name: string; profile: Profile } | undefined {
  const { current, profiles } = readProfiles();
  if (asked.profile !== undefined) return { name: asked.profile, profile: profileNamed(profiles, asked.profile) };
  const profile = current !== undefined && Object.hasOwn(profiles, current) ? profiles[current] : undefined;
  const kept = current !== undefined && profile ? { name: current, profile } : undefined;
  if (asked.relay === undefined) return kept;
  const relay = URL.parse(asked.relay)?.origin;
  const isOf = (profile: Profile): boolean => relay !== undefined && URL.parse(profile.relay)?.origin === relay;
  if (kept && isOf(kept.profile)) return kept;
  const found = Object.entries(profiles).find(([, each]) => isOf(each));
  return found && { name: found[0], profile: found[1] };
}

function parsed(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if (Object(cause).code === "ENOENT") return {};
    throw unusable("it cannot be read", cause);
  }
  try {
    return parse(text) ?? {};
  } catch (cause) {
    throw unusable("it is not YAML", cause);
  }
}

function unusable(why: string, cause?: unknown): FairleadError {
  const sentence = `${profilesFile()}: ${why}`;
  return misuse(sentence, cause);
}
