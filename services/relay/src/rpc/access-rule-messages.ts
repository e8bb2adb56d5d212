import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  AccessLevel,
  type AccessRule,
  AccessRuleSchema,
  type ExplainAccessResponse,
  ExplainAccessResponseSchema,
} from "@fairlead/protocol";
import type { AccessRuleRecord } from "../access/access-rule.ts";
import { malformed } from "../access/access-rule.ts";
import type { Explanation } from "../access/grant.ts";

const LEVELS = {
  denied: AccessLevel.DENIED,
  "read-only": AccessLevel.READ_ONLY,
  full: AccessLevel.FULL,
} as const;

/** A rule as the contract has it. */
export function ruleMessage({ notBeforeMs, expiresAtMs, ...rule }: AccessRuleRecord): AccessRule {
  return create(AccessRuleSchema, {
    ...rule,
    ...(notBeforeMs !== undefined && { notBeforeTime: timestampFromMs(notBeforeMs) }),
    ...(expiresAtMs !== undefined && { expireTime: timestampFromMs(expiresAtMs) }),
  });
}

/** A rule as it is kept. @throws FairleadError MALFORMED_REQUEST for a time that is none */
export function ruleRecord(message: AccessRule): AccessRuleRecord {
  const { name, users, userPrefixes, groups, clusters, clusterLabels, readOnly } = message;
  const notBeforeMs = timeOf(message.notBeforeTime);
  const expiresAtMs = timeOf(message.expireTime);
  return { name, users, userPrefixes, groups, clusters, clusterLabels, readOnly, notBeforeMs, expiresAtMs };
}

/** A judgement as the contract has it. */
export function explanationMessage({ level, untilMs, rules }: Explanation): ExplainAccessResponse {
  return create(ExplainAccessResponseSchema, {
    level: LEVELS[level],
    ...(untilMs !== undefined && { untilTime: timestampFromMs(untilMs) }),
    rules: rules.map(({ rule, applies, reason }) => ({ accessRule: ruleMessage(rule), applies, reason })),
  });
}

/** Within what ECMAScript's dates can say (ECMA-262, 21.4.1.1), since sentences show it. */
function timeOf(time: Timestamp | undefined): number | undefined {
  if (time === undefined) return undefined;
  const ms = timestampMs(time);
  if (Number.isNaN(new Date(ms).getTime())) throw malformed("a time of the rule is no date");
  return ms;
}
