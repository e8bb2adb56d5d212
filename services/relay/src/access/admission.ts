import type { Subject, TokenVerifier } from "@fairlead/authentication";
import { inWords, isReadOnly, narrowed, type RequestLine } from "@fairlead/authorization";
import { ErrorCode, FairleadError, Hop, type Scope } from "@fairlead/protocol";
import { type ClusterRecord, type Clusters, clusterUnknown } from "../clusters/clusters.ts";
import type { AccessRules } from "./access-rules.ts";

/** Who administers the relay, by name as the authentication configuration maps it. */
export interface Administrators {
  users: readonly string[];
  groups: readonly string[];
}

/** Of an exchange, what is needed to judge it, again while it lasts too. The token is not part of it. */
export interface ExchangeRequest extends RequestLine {
  cluster: string;
  scope?: Scope | undefined;
}

/** Judges callers at the relay: who they are, and what they may reach. The cluster judges again, by itself. */
export class Admission {
  readonly #verifier: TokenVerifier;
  readonly #clusters: Clusters;
  readonly #rules: AccessRules;
  readonly #administrators: Administrators;

  constructor(verifier: TokenVerifier, clusters: Clusters, rules: AccessRules, administrators: Administrators) {
    this.#verifier = verifier;
    this.#clusters = clusters;
    this.#rules = rules;
    this.#administrators = administrators;
  }

  /** Who a token that was judged just before speaks for; undefined: ask {@link authenticate}. */
  known(token: string | undefined): Subject | undefined {
    return token === undefined ? undefined : this.#verifier.known(token);
  }

  /** Who the token speaks for. @throws FairleadError TOKEN_REFUSED, ISSUER_UNAVAILABLE */
  authenticate(token: string | undefined): Promise<Subject> {
    return this.#verifier.verify(token);
  }

  /** The cluster, if the subject may reach it. @throws FairleadError CLUSTER_UNKNOWN if not, or if there is none */
  admit(subject: Subject, clusterName: string): ClusterRecord {
    const cluster = this.#clusters.get(clusterName);
    if (cluster === undefined || !this.#reaches(subject, cluster)) throw clusterUnknown(clusterName);
    return cluster;
  }

  /**
   * Lets an exchange in, or lets one that is under way go on.
   *
   * @param caller who its token speaks for
   * @returns until when it is judged so, in milliseconds since the epoch, if no rule is changed; perhaps it goes on then
   * @throws FairleadError CLUSTER_UNKNOWN, or ACCESS_DENIED where the caller may only read
   */
  admitExchange(caller: Subject, request: ExchangeRequest): number {
    const subject = narrowed(caller, request.scope);
    const cluster = this.admit(subject, request.cluster);
    const { fullUntilMs, readingUntilMs } = this.#rules.grant(subject, cluster, Date.now());
    if (fullUntilMs > 0 && fullUntilMs === readingUntilMs) return Math.min(fullUntilMs, caller.expiresAtMs);
    const reads = isReadOnly(request);
    if (!reads && fullUntilMs === 0) throw onlyReading(request);
    return Math.min(reads ? readingUntilMs : fullUntilMs, caller.expiresAtMs);
  }

  /** The clusters that the subject may know of: an administrator all, others those that they may reach. */
  visible(subject: Subject): ClusterRecord[] {
    return this.#clusters.list().filter((cluster) => this.sees(subject, cluster));
  }

  /** Whether the subject may know of a cluster. */
  sees(subject: Subject, cluster: ClusterRecord): boolean {
    return this.isAdministrator(subject) || this.#reaches(subject, cluster);
  }

  #reaches(subject: Subject, cluster: ClusterRecord): boolean {
    return this.#rules.grant(subject, cluster, Date.now()).readingUntilMs > 0;
  }

  isAdministrator(subject: Subject): boolean {
    const { users, groups } = this.#administrators;
    return users.includes(subject.user) || subject.groups.some((group) => groups.includes(group));
  }

  /** @throws FairleadError ACCESS_DENIED if the subject is no administrator */
  requireAdministrator(subject: Subject): void {
    if (this.isAdministrator(subject)) return;
    const sentence = `${subject.user} is not an administrator of this relay; ask one of them`;
    throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, sentence);
  }
}

function onlyReading(request: ExchangeRequest): FairleadError {
  const sentence = `your access to the cluster ${request.cluster} is read-only, and "${inWords(request)}" is more than reading; ask the relay's administrators for more`;
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, sentence);
}
