import type { Subject } from "@fairlead/authentication";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { alreadyExists, type ClusterRecord, checkName } from "../clusters/clusters.ts";
import type { Store } from "../store/store.ts";

/** A rule that lets its users and groups reach its clusters. */
export interface AccessRuleRecord {
  name: string;
  users: string[];
  groups: string[];
  /** Names; "*" is every cluster. */
  clusters: string[];
  /** Clusters with all these labels; none if empty. */
  clusterLabels: Record<string, string>;
}

/** Who reaches which cluster. Without a rule that matches, nobody reaches anything. */
export class AccessRules {
  readonly #store: Store;
  readonly #byName = new Map<string, AccessRuleRecord>();

  private constructor(store: Store) {
    this.#store = store;
  }

  /** Reads the rules from the store. */
  static async load(store: Store): Promise<AccessRules> {
    const rules = new AccessRules(store);
    for (const row of await store.selectFrom("access_rules").selectAll().execute()) {
      rules.#byName.set(row.name, {
        name: row.name,
        users: JSON.parse(row.users),
        groups: JSON.parse(row.groups),
        clusters: JSON.parse(row.clusters),
        clusterLabels: JSON.parse(row.cluster_labels),
      });
    }
    return rules;
  }

  /** All rules, by name. */
  list(): AccessRuleRecord[] {
    return [...this.#byName.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  /** Whether a rule lets the subject reach the cluster. */
  allows(subject: Subject, cluster: ClusterRecord): boolean {
    return this.list().some((rule) => matchesSubject(rule, subject) && matchesCluster(rule, cluster));
  }

  /** Adds a rule. @throws FairleadError MALFORMED_REQUEST, ALREADY_EXISTS */
  async create(rule: AccessRuleRecord): Promise<void> {
    checkName(rule.name, "rule");
    if (this.#byName.has(rule.name)) throw alreadyExists("rule", rule.name);
    if (rule.users.length + rule.groups.length === 0) throw malformed("a rule names at least one user or group");
    if (rule.clusters.length + Object.keys(rule.clusterLabels).length === 0) {
      throw malformed("a rule names at least one cluster or cluster label");
    }
    const { numInsertedOrUpdatedRows: made } = await this.#store
      .insertInto("access_rules")
      .values({
        name: rule.name,
        users: JSON.stringify(rule.users),
        groups: JSON.stringify(rule.groups),
        clusters: JSON.stringify(rule.clusters),
        cluster_labels: JSON.stringify(rule.clusterLabels),
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow();
    if (made === 0n) throw alreadyExists("rule", rule.name); // made at the same instant
    this.#byName.set(rule.name, rule);
  }

  /** Removes a rule. @throws FairleadError MALFORMED_REQUEST if there is none of this name */
  async delete(name: string): Promise<void> {
    if (!this.#byName.has(name)) throw malformed(`there is no rule ${name}`);
    await this.#store.deleteFrom("access_rules").where("name", "=", name).execute();
    this.#byName.delete(name);
  }
}

function matchesSubject({ users, groups }: AccessRuleRecord, subject: Subject): boolean {
  return users.includes(subject.user) || subject.groups.some((group) => groups.includes(group));
}

function matchesCluster({ clusters, clusterLabels }: AccessRuleRecord, cluster: ClusterRecord): boolean {
  if (clusters.includes("*") || clusters.includes(cluster.name)) return true;
  const wanted = Object.entries(clusterLabels);
  return wanted.length > 0 && wanted.every(([key, value]) => cluster.labels[key] === value);
}

function malformed(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.RELAY, sentence);
}
