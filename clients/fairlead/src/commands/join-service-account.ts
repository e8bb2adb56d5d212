import { readFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceAccountJoinSchema } from "@fairlead/protocol";
import { Command } from "commander";
import { misuse } from "../misuse.ts";
import { print, printJson, tell } from "../output.ts";
import { type RelayOptions, relayOf } from "./global-options.ts";

/** By whose tokens a cluster's agent joins, as the options say it. */
export interface JoinOptions {
  joinServiceAccount?: string;
  joinIssuer?: string;
  joinJwks?: string;
  joinIssuerCa?: string;
  joinAudience?: string;
}

/** A ServiceAccountJoin, complete. */
type Join = Required<Omit<MessageInitShape<typeof ServiceAccountJoinSchema>, `$${string}`>>;

/** Adds {@link JoinOptions} to a command. */
export function joinOptions(command: Command): Command {
  return command
    .option("--join-service-account <namespace/name>", "let the agent join by its pod's token, with no secret")
    .option("--join-issuer <url>", "with it: who issues the token, the apiserver's --service-account-issuer")
    .option("--join-jwks <file>", "with it: the issuer's keys (default: the relay asks the issuer, by https)")
    .option("--join-issuer-ca <file>", "with it: authority of the issuer's server (default: the relay's system's)")
    .option("--join-audience <url>", "with it: the token's audience (default: RELAY/clusters/NAME)");
}

/**
 * Reads the options.
 *
 * @param cluster the cluster's name
 * @returns undefined if the agent joins otherwise
 * @throws FairleadError MALFORMED_REQUEST if some are missing, or a file cannot be read
 */
export function serviceAccountJoin(cluster: string, options: JoinOptions & RelayOptions): Join | undefined {
  const { joinServiceAccount: serviceAccount, joinIssuer: issuer, relay = "" } = options;
  if (serviceAccount === undefined) {
    const more = [issuer, options.joinJwks, options.joinIssuerCa, options.joinAudience];
    if (more.every((each) => each === undefined)) return undefined;
    throw misuse("which service account? give --join-service-account NAMESPACE/NAME");
  }
  if (issuer === undefined) throw misuse("who issues the service account's tokens? give --join-issuer URL");
  const audience = options.joinAudience ?? `${URL.parse(relay)?.origin}/clusters/${cluster}`;
  const [jwks, certificateAuthority] = [textOf(options.joinJwks), textOf(options.joinIssuerCa)];
  return { serviceAccount, issuer, jwks, certificateAuthority, audience };
}

/** `fairlead clusters join-service-account`. */
export function joinServiceAccountCommand(): Command {
  return joinOptions(new Command("join-service-account"))
    .description("let a cluster's agent join by its service account's token, or end that; what has joined stays")
    .argument("<cluster>", "the cluster")
    .option("--none", "let no agent join so any more")
    .addHelpText("after", EXAMPLES)
    .action(async (cluster: string, _own: unknown, command: Command) => {
      const options = command.optsWithGlobals<RelayOptions & JoinOptions & { none?: boolean }>();
      const join = serviceAccountJoin(cluster, options);
      if ((join === undefined) !== (options.none === true)) {
        throw misuse("give --join-service-account and --join-issuer, or --none");
      }
      await relayOf(options).clusters.setServiceAccountJoin({ cluster, ...(join && { serviceAccountJoin: join }) });
      if (options.output === "json") return printJson({ cluster, ...(join && joinJson(join)) });
      if (join) showServiceAccountJoin(join);
      else tell(`No agent joins the cluster ${cluster} by a service account any more.`);
    });
}

const EXAMPLES = `
Examples:
  kubectl get --raw /openid/v1/jwks > jwks.json
  fairlead clusters join-service-account prod-eu1 --join-service-account fairlead/fairlead-agent \\
    --join-issuer https://kubernetes.default.svc.cluster.local --join-jwks jwks.json
  fairlead clusters join-service-account prod-eu1 --none`;

/** What of it is for the agent. */
export function joinJson({ serviceAccount, issuer, audience }: Join) {
  return { joinServiceAccount: { serviceAccount, issuer, audience } };
}

/** The audience alone on standard output, for the chart's values. */
export function showServiceAccountJoin({ serviceAccount, audience }: Join): void {
  tell(`Its agent joins by a token of the service account ${serviceAccount}, for this audience alone:`);
  print(String(audience));
}

function textOf(file: string | undefined): string {
  if (file === undefined) return "";
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw misuse(`${file} cannot be read`, cause);
  }
}
