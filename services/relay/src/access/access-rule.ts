import type { Subject } from "@fairlead/authentication";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { type ClusterRecord, checkName } from "../clusters/clusters.ts";

/** A rule that lets its users and groups reach its clusters. */
export interface AccessRuleRecord {
  name: string;
  users: string[];
  /** Every user whose name begins with one of these. */
  userPrefixes: string[];
  groups: string[];
  /** Names; "*" is every cluster. */
  clusters: string[];
  /** Clusters with all these labels; none if empty. */
  clusterLabels: Record<string, string>;
  /** Whether it admits only requests that read. */
  readOnly: boolean;
  /** When it begins to count, in milliseconds since the epoch; undefined for at once. */
  notBeforeMs: number | undefined;
  /** When it ends to count, likewise; undefined for never. */
  expiresAtMs: number | undefined;
}

/** Who is judged: a name and groups suffice. */
export type RuleSubject = Pick<Subject, "user" | "groups">;

/** @throws FairleadError MALFORMED_REQUEST for a rule that could not be meant so */
export function checkRule(rule: AccessRuleRecord): void {
  checkName(rule.name, "rule");
  const { users, userPrefixes, groups, clusters, clusterLabels, notBeforeMs, expiresAtMs } = rule;
  if (users.length + userPrefixes.length + groups.length === 0)
    throw malformed("a rule names at least one user or group");
  if (clusters.length + Object.keys(clusterLabels).length === 0) {
    throw malformed("a rule names at least one cluster or cluster label");
  }
  const open = userPrefixes.find((prefix) => !/[^:/][:/]$/.test(prefix));
  if (open !== undefined) {
    throw malformed(
      `the user prefix "${open}" does not end with ":" or "/" behind a name, so it would let others in too`,
    );
  }
  if (notBeforeMs !== undefined && expiresAtMs !== undefined && notBeforeMs >= expiresAtMs) {
    throw malformed("the rule would end before it begins");
  }
}

/** Whether a rule is for this subject and this cluster, whatever the time. */
export function isFor(rule: AccessRuleRecord, subject: RuleSubject, cluster: ClusterRecord): boolean {
  return matchOf(rule, subject) !== undefined && reachOf(rule, cluster) !== undefined;
}

/** Whether a rule counts at a time, in milliseconds since the epoch. */
export function isInForce({ notBeforeMs, expiresAtMs }: AccessRuleRecord, atMs: number): boolean {
  return (notBeforeMs === undefined || notBeforeMs <= atMs) && (expiresAtMs === undefined || atMs < expiresAtMs);
}

/** Whether a rule counts, and why, in a sentence for people. */
export function explainRule(
  rule: AccessRuleRecord,
  subject: RuleSubject,
  cluster: ClusterRecord,
  nowMs: number,
): { applies: boolean; reason: string } {
  const no = (reason: string) => ({ applies: false, reason });
  const match = matchOf(rule, subject);
  if (match === undefined) return no("it names neither the user nor one of the groups");
  const reach = reachOf(rule, cluster);
  if (reach === undefined) return no(`it is for ${match}, but not for this cluster`);
  const whom = `it is for ${match} and ${reach}`;
  const { notBeforeMs = nowMs, expiresAtMs = Number.POSITIVE_INFINITY } = rule;
  if (nowMs < notBeforeMs) return no(`${whom}, but begins only at ${new Date(notBeforeMs).toISOString()}`);
  if (nowMs >= expiresAtMs) return no(`${whom}, but ended at ${new Date(expiresAtMs).toISOString()}`);
  return { applies: true, reason: rule.readOnly ? `${whom}, for reading only` : whom };
}

/** How the rule names the subject; undefined if it does not. Names are compared as they are: there are no patterns. */
function matchOf({ users, userPrefixes, groups }: AccessRuleRecord, subject: RuleSubject): string | undefined {
  if (users.includes(subject.user)) return `the user ${subject.user}`;
  const prefix = userPrefixes.find((one) => subject.user.length > one.length && subject.user.startsWith(one));
  if (prefix !== undefined) return `users that begin with ${prefix}`;
  const group = subject.groups.find((one) => groups.includes(one));
  return group === undefined ? undefined : `the group ${group}`;
}

/** How the rule names the cluster; undefined if it does not. */
function reachOf({ clusters, clusterLabels }: AccessRuleRecord, cluster: ClusterRecord): string | undefined {
  if (clusters.includes(cluster.name)) return `the cluster ${cluster.name}`;
  if (clusters.includes("*")) return "every cluster";
  const wanted = Object.entries(clusterLabels);
  const hasAll = wanted.length > 0 && wanted.every(([key, value]) => cluster.labels[key] === value);
  return hasAll ? `clusters with ${wanted.map(([key, value]) => `${key}=${value}`).join(",")}` : undefined;
}

export function malformed(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.RELAY, sentence);
}
