import { realpathSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { isSea } from "node:sea";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { RelayOptions } from "../commands/global-options.ts";
import { misuse } from "../misuse.ts";
import type { ExecPlugin, KubeconfigEntries } from "./kubeconfig.ts";
import type { ScopeOptions } from "./scope.ts";

/** The options that make a context without the local proxy, or go without it only. */
export interface DirectOptions {
  direct?: boolean;
  port?: number;
}

/**
 * Refuses options that do not go together.
 *
 * A scope is bound to the local proxy's credential, which the relay never sees. A direct context has the caller's own
 * token, and whoever has that needs no context: one that says "read-only" would promise what nobody keeps.
 *
 * @throws FairleadError MALFORMED_REQUEST
 */
export function checkDirect({ direct = false, port, readOnly, groups }: DirectOptions & ScopeOptions): void {
  if (direct && (readOnly || groups !== undefined)) {
    const narrow = readOnly ? "--read-only" : "--groups";
    throw misuse(
      `${narrow} cannot be kept with --direct: such a context has your own token, which can do all that you can; leave out --direct, or have the relay's administrators make a read-only rule`,
    );
  }
  if (direct && port !== undefined) throw misuse("--port is the local proxy's, which --direct goes without");
}

/**
 * The address of a cluster without the local proxy.
 *
 * @param directUrl what the relay says: an https URL, or a path at the relay
 * @param relay the relay as the caller knows it
 * @throws FairleadError ACCESS_DENIED if the relay serves none, PROTOCOL_VIOLATION for what is no address
 */
export function directServer(directUrl: string, relay: URL): string {
  if (directUrl === "") {
    const sentence =
      "this relay does not serve clusters without a client proxy (direct.enabled), or is too old to; use `fairlead proxy`, or ask its administrators";
    throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, sentence);
  }
  const url = URL.parse(directUrl, relay.origin);
  const isPlain = url?.protocol === "https:" && url.username + url.password + url.search + url.hash === "";
  if (url && isPlain) return url.href.replace(/\/$/, "");
  const sentence = `it gives ${JSON.stringify(directUrl)} for the cluster's address, which is no https URL`;
  throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, sentence);
}

/**
 * The entries that point kubectl at the relay, with a plugin that gives the token. Its name says so, and that it may be
 * beside the cluster's other contexts; no cluster's name has a colon.
 *
 * @param contextName the name of the cluster's context by the local proxy
 * @param ca the authority of the relay's certificate, PEM; undefined for those of the system
 */
export function directEntries(
  name: string,
  namespace: string,
  server: string,
  ca: Buffer | undefined,
  plugin: ExecPlugin,
): KubeconfigEntries {
  return {
    name,
    cluster: { server, ...(ca && { "certificate-authority-data": ca.toString("base64") }) },
    user: { exec: plugin },
    context: { cluster: name, user: name, ...(namespace !== "" && { namespace }) },
  };
}

/** What a direct context is named by itself, beside the one through the local proxy. No cluster's name has a colon. */
export function directName(contextName: string): string {
  return `${contextName}:direct`;
}

/** `fairlead get-token` as kubectl is to run it, from whatever folder. @param relay the relay's address */
export function tokenPlugin({ profile, relayCa, tokenFile }: RelayOptions, relay: URL): ExecPlugin {
  const [command = "", ...before] = thisProgram();
  const own = ["get-token", "--relay", relay.origin];
  if (profile !== undefined) own.push("--profile", profile);
  if (relayCa !== undefined) own.push("--relay-ca", resolve(relayCa));
  if (tokenFile !== undefined && tokenFile !== "-") own.push("--token-file", resolve(tokenFile));
  return {
    apiVersion: "client.authentication.k8s.io/v1",
    command,
    args: [...before, ...own],
    interactiveMode: "IfAvailable",
    provideClusterInfo: false,
    installHint:
      "fairlead gives the token for this cluster: install it, or write this kubeconfig anew where it is installed",
  };
}

/**
 * How to start this program: by its name where the PATH leads to it, by its file otherwise, and by this node if it is no
 * executable of its own: programs with windows have no PATH of a shell's. What npx has put into the PATH is not there when
 * kubectl runs.
 */
function thisProgram(): string[] {
  const file = realpathSync(isSea() ? process.execPath : (process.argv[1] ?? ""));
  const isThis = (folder: string): boolean => {
    if (folder.endsWith(join("node_modules", ".bin"))) return false;
    try {
      return realpathSync(join(folder, "fairlead")) === file;
    } catch {
      return false;
    }
  };
  if ((process.env.PATH ?? "").split(delimiter).some(isThis)) return ["fairlead"];
  return isSea() ? [file] : [process.execPath, ...process.execArgv, file];
}
