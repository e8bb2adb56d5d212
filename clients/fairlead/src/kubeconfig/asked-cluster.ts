import { readFileSync } from "node:fs";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";

/** Where a token may go to: the relay, as the plugin's own arguments have it. */
export interface TokenDestination {
  /** The relay's address. */
  relay: string;
  /** The file with the authority of its certificate; undefined for the system's. */
  relayCa: string | undefined;
  /** The domain that the relay serves clusters under (`direct.domain`), if it does. */
  domain: string | undefined;
}

/**
 * Refuses to give the token for a server that is not the relay.
 *
 * A client that says which cluster it asks for (`provideClusterInfo`) may have that from an object that others can write, such as
 * a ClusterProfile (KEP-5339): whoever changes the address there would be sent the token of the program that reads it.
 *
 * @param execInfo KUBERNETES_EXEC_INFO; one without `spec.cluster` is believed, since the kubeconfig then has both
 * @throws FairleadError ACCESS_DENIED for another server, or one whose certificate is not to be verified as the relay's is
 */
export function checkAskedCluster(execInfo: string | undefined, { relay, relayCa, domain }: TokenDestination): void {
  const cluster = clusterIn(execInfo);
  if (cluster === undefined) return;
  const server = URL.parse(String(cluster.server));
  const isRelay =
    server?.origin === URL.parse(relay)?.origin && /^\/clusters\/[a-z0-9-]+\/?$/.test(server?.pathname ?? "");
  const isUnderDomain = domain !== undefined && server?.protocol === "https:" && isLabelOf(server.hostname, domain);
  if (!isRelay && !isUnderDomain) {
    const sentence = `the token is not given for ${JSON.stringify(cluster.server)}, which is no cluster at the relay ${relay}; see who has written that address`;
    throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.CLIENT_PROXY, sentence);
  }
  const given = cluster["certificate-authority-data"] ?? "";
  const due = relayCa === undefined ? "" : readFileSync(relayCa).toString("base64");
  if (given === due && !cluster["insecure-skip-tls-verify"] && !cluster["tls-server-name"]) return;
  const sentence = `the token is not given for ${server?.href}: its certificate would not be verified as the relay's is; give --relay-ca the authority that the address comes with, if that is right`;
  throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.CLIENT_PROXY, sentence);
}

function isLabelOf(hostname: string, domain: string): boolean {
  return hostname.endsWith(`.${domain}`) && !hostname.slice(0, -domain.length - 1).includes(".");
}

function clusterIn(execInfo: string | undefined): Record<string, unknown> | undefined {
  try {
    return Object(Object(JSON.parse(execInfo ?? "null")).spec).cluster;
  } catch {
    return undefined; // execCredential says what is wrong with it
  }
}
