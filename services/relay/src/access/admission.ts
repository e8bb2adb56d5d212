import type { Subject, TokenVerifier } from "@fairlead/authentication";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { type ClusterRecord, type Clusters, clusterUnknown } from "../clusters/clusters.ts";
import type { AccessRules } from "./access-rules.ts";

/** Who administers the relay, by name as the authentication configuration maps it. */
export interface Administrators {
  users: readonly string[];
  groups: readonly string[];
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
    if (cluster === undefined || !this.#rules.allows(subject, cluster)) throw clusterUnknown(clusterName);
    return cluster;
  }

  /** The clusters that the subject may know of: an administrator all, others those that they may reach. */
  visible(subject: Subject): ClusterRecord[] {
    const all = this.#clusters.list();
    return this.isAdministrator(subject) ? all : all.filter((cluster) => this.#rules.allows(subject, cluster));
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
