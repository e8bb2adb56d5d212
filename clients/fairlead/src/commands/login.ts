import { resolve } from "node:path";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { refuseUnverifiedTls } from "@fairlead/service";
import { Command } from "commander";
import { LoginStore } from "../login/login-store.ts";
import { loginToken } from "../login/login-token.ts";
import { MemoryPlace } from "../login/memory-place.ts";
import { openIdLogin } from "../login/openid-login.ts";
import { misuse } from "../misuse.ts";
import { print, printJson, tell } from "../output.ts";
import type { Login, OpenIdLogin, Profile } from "../profiles/profile.ts";
import {
  changeProfiles,
  checkProfileName,
  profileNameFor,
  readProfiles,
  selectedProfile,
} from "../profiles/profiles-file.ts";
import { connectToRelay, type RelayConnection } from "../relay/relay-connection.ts";
import type { RelayOptions } from "./global-options.ts";
import { addLoginOptions, askedLogin, type LoginOptions, namedLogin } from "./login-options.ts";

/** `fairlead login`: who you are, once, for all commands and all clusters of a relay. */
export function loginCommand(): Command {
  const command = new Command("login")
    .description("log in to a relay, for all its clusters")
    .argument("[relay]", "https://HOST:PORT (default: the current profile's)");
  return addLoginOptions(command)
    .addHelpText("after", EXAMPLES)
    .action(async (relay: string | undefined, _own: unknown, command: Command) => {
      refuseUnverifiedTls();
      const options = command.optsWithGlobals<RelayOptions & LoginOptions>();
      await login({ ...options, ...(relay !== undefined && { relay }) });
    });
}

const EXAMPLES = `
Examples:
  fairlead login https://relay.example.com                # in your browser
  fairlead login https://relay.example.com --device       # by a code, in a browser elsewhere
  fairlead login --profile prod                           # again
  fairlead login https://relay.example.com --issuer https://login.example.com --client-id robot \\
    --client-credentials --client-secret-file ./secret    # as a machine
  fairlead login https://relay.example.com --workload github-actions
  fairlead login https://relay.example.com --token-file /var/run/secrets/fairlead/token   # in a pod`;

async function login(options: RelayOptions & LoginOptions): Promise<void> {
  const { name, profile } = loggedInTo(options);
  const origin = connectToRelay(profile.relay, profile.relayCa, noToken).url.origin;
  const asked = askedLogin(options, options.tokenFile);
  const how = asked ?? (await named(connectToRelay(profile.relay, profile.relayCa, noToken), profile.login, options));
  const store = new LoginStore(name);
  const got = how.kind === "openid" ? await openIdLogin(how, origin, options) : undefined;
  // Tried before anything that was kept is touched.
  const token = got ? () => got.token : loginToken({ name, relay: origin, login: how }, new MemoryPlace());
  const relay = connectToRelay(profile.relay, profile.relayCa, token);
  const { user, expireTime } = await relay.caller.getCaller({});
  const { clusters } = await relay.clusters.listClusters({});
  const keptIn = await store.exclusively(async () => {
    await store.remove(); // what a login before left is not for this one
    return got && store.write(got);
  });
  await changeProfiles(({ profiles }) => ({
    current: name,
    profiles: { ...profiles, [name]: { ...profile, login: how } },
  }));
  const expires = expireTime ? timestampDate(expireTime).toISOString() : "";
  const renews = got === undefined || got.refreshToken !== undefined;
  if (options.output === "json") {
    const said = { profile: name, relay: origin, user, expires, renews, clusters: clusters.length };
    return printJson({ ...said, ...(keptIn && { keptIn }) });
  }
  print(`You are ${user} at ${origin} (profile ${name}), and may reach ${counted(clusters.length)}.`);
  if (!renews) tell(`The login ends at ${expires}: its issuer gave nothing to renew it with.`);
  if (keptIn === "file") tell("There is no keychain here: the login is in a file that only you can read.");
}

/** Which profile, under which name; of one that is there already, what the options do not say stays as it is. */
function loggedInTo(options: RelayOptions): { name: string; profile: Profile } {
  const known = options.profile === undefined ? undefined : readProfiles().profiles[options.profile];
  const isNew = options.profile !== undefined && known === undefined;
  const before = isNew ? undefined : selectedProfile(options);
  const relay = options.relay ?? before?.profile.relay;
  const url = relay === undefined ? null : URL.parse(relay);
  if (relay === undefined || url?.protocol !== "https:") {
    const sentence = relay === undefined ? "which relay? run" : `${relay} is not the address of a relay; run`;
    const remedy = `${sentence} \`fairlead login https://HOST:PORT\``;
    throw misuse(remedy);
  }
  const name = options.profile ?? before?.name ?? profileNameFor(url);
  checkProfileName(name);
  const relayCa = options.relayCa === undefined ? before?.profile.relayCa : resolve(options.relayCa);
  const { login: how } = before?.profile ?? {};
  return { name, profile: { relay, ...(relayCa && { relayCa }), ...(how && { login: how }) } };
}

async function named(relay: RelayConnection, before: Login | undefined, options: LoginOptions): Promise<Login> {
  if (before && before.kind !== "openid") return before;
  const { login } = await relay.relay.getRelay({});
  if (login) return notAnothers(namedLogin(login, before, options), relay.url.origin);
  if (before) return before;
  const sentence = "it does not say how to log in; give --issuer URL and --client-id ID, or ask its administrators";
  throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.RELAY, sentence);
}

/**
 * Another relay's client is not logged in with because a relay says so: its token would count at the other relay too.
 *
 * @throws FairleadError ACCESS_DENIED with how to agree
 */
function notAnothers(how: OpenIdLogin, relay: string): Login {
  const { issuer, clientId } = how;
  for (const [name, { relay: other, login: its }] of Object.entries(readProfiles().profiles)) {
    if (its?.kind !== "openid" || its.issuer !== issuer || its.clientId !== clientId) continue;
    if (URL.parse(other)?.origin === relay) continue;
    const sentence =
      `it names the client ${clientId} of ${issuer}, which profile ${name} logs in with for ${other}: a token for it would count ` +
      `at both. If they belong together, run \`fairlead login ${relay} --issuer ${issuer} --client-id ${clientId}\``;
    throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, sentence);
  }
  return how;
}

/** Nobody is asked for who they are before they have logged in. */
function noToken(): never {
  throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, "nobody is logged in yet");
}

function counted(clusters: number): string {
  return clusters === 0 ? "no cluster yet: ask for a rule" : clusters === 1 ? "one cluster" : `${clusters} clusters`;
}
