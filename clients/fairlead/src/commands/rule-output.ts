import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { AccessRule } from "@fairlead/protocol";
import { table } from "../output.ts";

/** A rule for programs. Times that are not set are left out. */
export function ruleJson({ $typeName: _, $unknown: __, notBeforeTime, expireTime, ...rule }: AccessRule) {
  return { ...rule, notBefore: isoTime(notBeforeTime), expires: isoTime(expireTime) };
}

/** Rules for people. */
export function ruleTable(rules: readonly AccessRule[]): string {
  return table(["NAME", "USERS", "GROUPS", "CLUSTERS", "CLUSTER LABELS", "ALLOWS", "FROM", "UNTIL"], rules.map(toRow));
}

/** A time as ISO 8601 has it; undefined if it is not set. */
export function isoTime(time: Timestamp | undefined): string | undefined {
  return time && timestampDate(time).toISOString();
}

function toRow(rule: AccessRule): string[] {
  const { notBefore = "", expires = "" } = ruleJson(rule);
  const users = [...rule.users, ...rule.userPrefixes.map((prefix) => `${prefix}…`)];
  const labels = Object.entries(rule.clusterLabels).map(([key, value]) => `${key}=${value}`);
  const columns = [users, rule.groups, rule.clusters, labels].map((list) => list.join(","));
  return [rule.name, ...columns, rule.readOnly ? "reading" : "all", notBefore, expires];
}
