import type { ClusterRecord } from "../clusters/clusters.ts";
import { type AccessRuleRecord, explainRule, isFor, isInForce, type RuleSubject } from "./access-rule.ts";

/** What all rules together let a subject do in a cluster, at one moment. Rules only add. */
export interface Grant {
  /** Until when anything may be done, in milliseconds since the epoch; Infinity for without end, 0 for not at all. */
  fullUntilMs: number;
  /** Until when it may be read, likewise; never before `fullUntilMs`. */
  readingUntilMs: number;
}

/** How much a subject may do in a cluster. */
export type AccessLevel = "denied" | "read-only" | "full";

/** The judgement of one subject and cluster, with each rule's part in it. */
export interface Explanation {
  level: AccessLevel;
  /** Until when it is so, in milliseconds since the epoch; undefined for without end. */
  untilMs: number | undefined;
  rules: { rule: AccessRuleRecord; applies: boolean; reason: string }[];
}

/** Sums the rules up. Asked at each request: it makes nothing and sorts nothing. */
export function grantOf(
  rules: Iterable<AccessRuleRecord>,
  subject: RuleSubject,
  cluster: ClusterRecord,
  atMs: number,
): Grant {
  const grant: Grant = { fullUntilMs: 0, readingUntilMs: 0 };
  for (const rule of rules) {
    if (!isInForce(rule, atMs) || !isFor(rule, subject, cluster)) continue;
    const untilMs = rule.expiresAtMs ?? Number.POSITIVE_INFINITY;
    if (untilMs > grant.readingUntilMs) grant.readingUntilMs = untilMs;
    if (!rule.readOnly && untilMs > grant.fullUntilMs) grant.fullUntilMs = untilMs;
  }
  return grant;
}

/** Explains the sum: what each rule has to do with it, and when it will be another. */
export function explain(
  rules: readonly AccessRuleRecord[],
  subject: RuleSubject,
  cluster: ClusterRecord,
  nowMs: number,
): Explanation {
  const levelAt = (atMs: number): AccessLevel => {
    const { fullUntilMs, readingUntilMs } = grantOf(rules, subject, cluster, atMs);
    return fullUntilMs > 0 ? "full" : readingUntilMs > 0 ? "read-only" : "denied";
  };
  const level = levelAt(nowMs);
  const changes = rules
    .filter((rule) => isFor(rule, subject, cluster))
    .flatMap(({ notBeforeMs, expiresAtMs }) => [notBeforeMs, expiresAtMs])
    .filter((atMs) => atMs !== undefined && atMs > nowMs)
    .sort((a = 0, b = 0) => a - b);
  return {
    level,
    untilMs: changes.find((atMs) => levelAt(atMs ?? 0) !== level),
    rules: rules.map((rule) => ({ rule, ...explainRule(rule, subject, cluster, nowMs) })),
  };
}
