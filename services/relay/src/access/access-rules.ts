import { alreadyExists, type ClusterRecord } from "../clusters/clusters.ts";
import type { Store, Tables } from "../store/store.ts";
import { type AccessRuleRecord, checkRule, malformed, type RuleSubject } from "./access-rule.ts";
import { type Explanation, explain, type Grant, grantOf } from "./grant.ts";

/** Who reaches which cluster. Without a rule that matches, nobody reaches anything. */
export class AccessRules {
  readonly #store: Store;
  readonly #byName = new Map<string, AccessRuleRecord>();
  /** How often they were changed here, begun and done. */
  #changes = 0;

  private constructor(store: Store) {
    this.#store = store;
  }

  /** Reads the rules from the store. */
  static async load(store: Store): Promise<AccessRules> {
    const rules = new AccessRules(store);
    await rules.reload();
    return rules;
  }

  /** Reads them anew: another relay of the same database may have changed them. */
  async reload(): Promise<void> {
    const before = this.#changes;
    const rows = await this.#store.selectFrom("access_rules").selectAll().execute();
    if (this.#changes !== before) return; // changed here meanwhile: what was read may be older
    this.#byName.clear();
    for (const row of rows) this.#byName.set(row.name, fromRow(row));
  }

  /** All rules, by name. */
  list(): AccessRuleRecord[] {
    return [...this.#byName.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  /** What the rules let the subject do in the cluster now. @param nowMs milliseconds since the epoch */
  grant(subject: RuleSubject, cluster: ClusterRecord, nowMs: number): Grant {
    return grantOf(this.#byName.values(), subject, cluster, nowMs);
  }

  /** Why that is so. */
  explain(subject: RuleSubject, cluster: ClusterRecord, nowMs: number): Explanation {
    return explain(this.list(), subject, cluster, nowMs);
  }

  /** Adds a rule. @throws FairleadError MALFORMED_REQUEST, ALREADY_EXISTS */
  async create(rule: AccessRuleRecord): Promise<void> {
    checkRule(rule);
    this.#changes++;
    if (this.#byName.has(rule.name)) throw alreadyExists("rule", rule.name);
    const { numInsertedOrUpdatedRows: made } = await this.#store
      .insertInto("access_rules")
      .values(toRow(rule))
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow();
    if (made === 0n) throw alreadyExists("rule", rule.name); // made at the same instant
    this.#byName.set(rule.name, rule);
    this.#changes++;
  }

  /** Says a rule anew, as a whole. @throws FairleadError MALFORMED_REQUEST, also if there is none of this name */
  async update(rule: AccessRuleRecord): Promise<void> {
    checkRule(rule);
    this.#changes++;
    this.#require(rule.name);
    const { numUpdatedRows: changed } = await this.#store
      .updateTable("access_rules")
      .set(toRow(rule))
      .where("name", "=", rule.name)
      .executeTakeFirstOrThrow();
    if (changed === 0n) throw unknownRule(rule.name); // removed at the same instant
    this.#byName.set(rule.name, rule);
    this.#changes++;
  }

  /** Removes a rule. @throws FairleadError MALFORMED_REQUEST if there is none of this name */
  async delete(name: string): Promise<void> {
    this.#require(name);
    this.#changes++;
    await this.#store.deleteFrom("access_rules").where("name", "=", name).execute();
    this.#byName.delete(name);
    this.#changes++;
  }

  #require(name: string): void {
    if (!this.#byName.has(name)) throw unknownRule(name);
  }
}

type Row = Tables["access_rules"];

function fromRow(row: Row): AccessRuleRecord {
  return {
    name: row.name,
    users: JSON.parse(row.users),
    userPrefixes: JSON.parse(row.user_prefixes),
    groups: JSON.parse(row.groups),
    clusters: JSON.parse(row.clusters),
    clusterLabels: JSON.parse(row.cluster_labels),
    readOnly: row.read_only !== 0,
    notBeforeMs: row.not_before_ms ?? undefined,
    expiresAtMs: row.expires_at_ms ?? undefined,
  };
}

function toRow(rule: AccessRuleRecord): Row {
  return {
    name: rule.name,
    users: JSON.stringify(rule.users),
    user_prefixes: JSON.stringify(rule.userPrefixes),
    groups: JSON.stringify(rule.groups),
    clusters: JSON.stringify(rule.clusters),
    cluster_labels: JSON.stringify(rule.clusterLabels),
    read_only: rule.readOnly ? 1 : 0,
    not_before_ms: rule.notBeforeMs ?? null,
    expires_at_ms: rule.expiresAtMs ?? null,
  };
}

function unknownRule(name: string): Error {
  return malformed(`there is no rule ${name}`);
}
