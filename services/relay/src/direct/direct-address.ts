import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { DirectConfig } from "../config.ts";

/** Where the paths of clusters begin. No method of an RPC can: those begin with a package's name. */
const PREFIX = "/clusters/";
/** A cluster's name: a DNS label (RFC 1123). Nothing that could be read as a path or as another name. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** What a proxy on the way may read as `.`, `/` and `\`. */
const ENCODED: Record<string, string> = { "%2e": ".", "%2f": "/", "%5c": "\\" };
const DOT_SEGMENT = /(^|[/\\])\.\.?([/\\]|$)/;

/** A request as it is sent: the host that it names, and its target. */
export interface Addressed {
  host: string;
  target: string;
}

/** Tells which requests are for a cluster, and for which: by the host's name, or by a prefix of the path. */
export class DirectAddresses {
  readonly #enabled: boolean;
  readonly #domain: string | undefined;
  readonly #port: string;

  constructor({ enabled, domain, port }: DirectConfig) {
    this.#enabled = enabled;
    this.#domain = domain;
    this.#port = port === undefined ? "" : `:${port}`;
  }

  /** Whether a request is for a cluster; {@link read} says for which, or that it is none. */
  covers(request: Addressed): boolean {
    if (!this.#enabled) return false;
    return request.target.startsWith(PREFIX) || this.#isInDomain(nameIn(request.host));
  }

  /**
   * Reads a request for a cluster.
   *
   * @returns the cluster's name, and the target as the cluster is to see it
   * @throws FairleadError MALFORMED_REQUEST if it names no cluster, or has a path that a proxy on the way might have
   *   folded, or may yet fold, into another cluster's
   */
  read({ host, target }: Addressed): { cluster: string; target: string } {
    const name = nameIn(host);
    const found = this.#isInDomain(name)
      ? { cluster: name.slice(0, -(this.#domain ?? "").length - 1), target }
      : withoutPrefix(target);
    if (!LABEL.test(found.cluster)) throw malformed(`the request names no cluster: give ${PREFIX}CLUSTER`);
    const [path = ""] = found.target.split("?", 1);
    const folded = path.replace(/%(2e|2f|5c)/gi, (code) => ENCODED[code.toLowerCase()] ?? code);
    if (DOT_SEGMENT.test(folded)) throw malformed('the request\'s path has a segment "." or ".."');
    return found;
  }

  /** Where a cluster is: an https URL, or a path at the relay as its client knows it; empty where it is switched off. */
  of(cluster: string): string {
    if (!this.#enabled) return "";
    return this.#domain === undefined ? PREFIX + cluster : `https://${cluster}.${this.#domain}${this.#port}`;
  }

  #isInDomain(name: string): boolean {
    return this.#domain !== undefined && name.endsWith(`.${this.#domain}`);
  }
}

function withoutPrefix(target: string): { cluster: string; target: string } {
  const end = target.slice(PREFIX.length).search(/[/?]/);
  if (end < 0) return { cluster: target.slice(PREFIX.length), target: "/" };
  const rest = target.slice(PREFIX.length + end);
  return {
    cluster: target.slice(PREFIX.length, PREFIX.length + end),
    target: rest.startsWith("/") ? rest : `/${rest}`,
  };
}

/** The name in a Host header, without its port. */
function nameIn(host: string): string {
  return host.replace(/:\d*$/, "").toLowerCase();
}

function malformed(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.RELAY, sentence);
}
