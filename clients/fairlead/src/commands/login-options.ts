import { resolve } from "node:path";
import { ErrorCode, FairleadError, Hop, type LoginMethod } from "@fairlead/protocol";
import { type Command, Option } from "commander";
import { misuse } from "../misuse.ts";
import type { Login, OpenIdClient, OpenIdLogin } from "../profiles/profile.ts";
import { collect, port } from "./global-options.ts";

/** What says how to log in. */
export interface LoginOptions {
  issuer?: string;
  clientId?: string;
  scope: string[];
  resource?: string;
  issuerCa?: string;
  clientSecretFile?: string;
  clientCredentials?: boolean;
  workload?: "github-actions" | "azure-pipelines";
  audience?: string;
  serviceConnection?: string;
  device?: boolean;
  redirectPort: number;
}

const DEFAULT_SCOPES = ["openid", "profile", "email", "offline_access"];
const DEFAULT_AUDIENCE = "fairlead";

/** Adds them to a command. */
export function addLoginOptions(command: Command): Command {
  return command
    .option("--device", "show a code to enter in a browser of another machine (the default where there is none)")
    .option("--redirect-port <port>", "the port that the issuer sends the browser back to (default: any)", port, 0)
    .option("--issuer <url>", "the OpenID issuer (default: what the relay names)")
    .option("--client-id <id>", "the client that is registered there (default: what the relay names)")
    .option("--scope <scope>", `what is asked for; may be repeated (default: ${DEFAULT_SCOPES.join(" ")})`, collect, [])
    .option("--resource <uri>", "ask for an access token for it, and use that (default: the ID token)")
    .option("--issuer-ca <file>", "authority that signed the issuer's certificate (default: the system's)")
    .option("--client-secret-file <file>", "the client's secret, where the issuer gave it one")
    .option("--client-credentials", "as a machine, by the client's own secret")
    .addOption(
      new Option("--workload <kind>", "as a CI job, by its own token").choices(["github-actions", "azure-pipelines"]),
    )
    .option("--audience <name>", `of a GitHub Actions token (default: ${DEFAULT_AUDIENCE})`)
    .option("--service-connection <id>", "the Azure Pipelines service connection that tokens are got by");
}

/**
 * How to log in, as the options say.
 *
 * @param tokenFile of a token that somebody else keeps fresh
 * @returns undefined if they say nothing
 * @throws FairleadError MALFORMED_REQUEST for options that do not go together
 */
export function askedLogin(options: LoginOptions, tokenFile: string | undefined): Login | undefined {
  const { workload, audience = DEFAULT_AUDIENCE, serviceConnection, issuer, clientId, clientCredentials } = options;
  const given = [tokenFile, workload, issuer ?? clientId].filter((each) => each !== undefined);
  if (given.length > 1) throw misuse("--token-file, --workload and --issuer are different ways to log in; give one");
  if (tokenFile === "-") throw misuse("a login needs a file that is there later too, not standard input");
  if (tokenFile !== undefined) return { kind: "token-file", file: resolve(tokenFile) };
  if (workload === "github-actions") return { kind: workload, audience };
  if (workload === "azure-pipelines") {
    if (serviceConnection === undefined) throw misuse("Azure Pipelines needs --service-connection ID");
    return { kind: workload, serviceConnection };
  }
  if (issuer === undefined && clientId === undefined) {
    if (clientCredentials) throw misuse("--client-credentials needs --issuer URL and --client-id ID");
    return undefined;
  }
  if (issuer === undefined || clientId === undefined) throw misuse("--issuer URL and --client-id ID go together");
  if (URL.parse(issuer)?.protocol !== "https:") throw misuse(`${issuer} is no issuer; give https://HOST`);
  if (clientCredentials && options.clientSecretFile === undefined) {
    throw misuse("--client-credentials needs --client-secret-file FILE");
  }
  const defaults = clientCredentials ? [] : DEFAULT_SCOPES;
  const client: OpenIdClient = { issuer, clientId, scopes: options.scope.length > 0 ? options.scope : defaults };
  return { kind: clientCredentials ? "client-credentials" : "openid", ...client, ...ownOf(options) };
}

/**
 * How to log in, as the relay says.
 *
 * @param before how it was done up to now; a relay does not get people to another issuer without their knowing
 * @throws FairleadError PROTOCOL_VIOLATION, ACCESS_DENIED
 */
export function namedLogin(named: LoginMethod, before: Login | undefined, options: LoginOptions): OpenIdLogin {
  const { issuer, clientId, scopes, resource } = named;
  if (URL.parse(issuer)?.protocol !== "https:") {
    throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, `it names ${issuer} as issuer; it is not used`);
  }
  const change = before?.kind === "openid" ? changed(before, named) : undefined;
  if (change !== undefined) {
    const sentence =
      `it now names another ${change}. If that is right, run ` +
      `\`fairlead login --issuer ${issuer} --client-id ${clientId}${resource === "" ? "" : ` --resource ${resource}`}\``;
    throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, sentence);
  }
  const kept = before?.kind === "openid" ? before : undefined;
  const files = {
    ...(kept?.issuerCa && { issuerCa: kept.issuerCa }),
    ...(kept?.clientSecretFile && { clientSecretFile: kept.clientSecretFile }),
  };
  return {
    kind: "openid",
    ...{ issuer, clientId, scopes: options.scope.length > 0 ? options.scope : scopes },
    ...(resource !== "" && { resource }),
    ...files,
    ...ownOf(options),
  };
}

/** What the user's token would be for instead of what it was for before; undefined if it is the same. */
function changed(before: OpenIdClient, { issuer, clientId, resource }: LoginMethod): string | undefined {
  if (before.issuer !== issuer) return `issuer to log in at: ${issuer} instead of ${before.issuer}`;
  if (before.clientId !== clientId) return `client to log in with: ${clientId} instead of ${before.clientId}`;
  const kept = before.resource ?? "";
  return kept === resource ? undefined : `resource for tokens: ${resource || "none"} instead of ${kept || "none"}`;
}

function ownOf({ resource, issuerCa, clientSecretFile }: LoginOptions): Partial<OpenIdClient> {
  return {
    ...(resource !== undefined && { resource }),
    ...(issuerCa !== undefined && { issuerCa: resolve(issuerCa) }),
    ...(clientSecretFile !== undefined && { clientSecretFile: resolve(clientSecretFile) }),
  };
}
