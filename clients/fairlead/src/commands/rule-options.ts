import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { misuse } from "../misuse.ts";
import { collect, parseLabels, type RelayOptions } from "./global-options.ts";

/** What a rule is made of on the command line. */
export interface RuleOptions extends RelayOptions {
  user: string[];
  userPrefix: string[];
  group: string[];
  cluster: string[];
  clusterLabel: string[];
  readOnly?: boolean;
  notBefore?: string;
  expires?: string;
}

const UNITS_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Adds the options that say a rule. */
export function addRuleOptions(command: Command): Command {
  return command
    .option("--user <name>", "a user, exactly; may be repeated", collect, [])
    .option("--user-prefix <prefix>", "users that begin so, up to a : or /, for CI jobs; may be repeated", collect, [])
    .option("--group <name>", "a group; may be repeated", collect, [])
    .option("--cluster <name>", "a cluster, or * for all; may be repeated", collect, [])
    .option("--cluster-label <key=value>", "clusters with this label; may be repeated, all must match", collect, [])
    .option("--read-only", "admit only requests that read: no change, no exec, no port-forward")
    .option("--not-before <time>", "begin then: 2026-12-01T08:00:00Z, or 30m, 8h, 7d from now")
    .option("--expires <time>", "end then, likewise; exchanges under way that nothing else allows are cut");
}

/** The rule that the options say, as the contract has it. @throws FairleadError MALFORMED_REQUEST */
export function ruleOf(name: string, options: RuleOptions) {
  const { user: users, userPrefix: userPrefixes, group: groups, cluster: clusters, readOnly = false } = options;
  const [notBeforeTime, expireTime] = [timeOf(options.notBefore), timeOf(options.expires)];
  return {
    ...{ name, users, userPrefixes, groups, clusters, clusterLabels: parseLabels(options.clusterLabel), readOnly },
    ...(notBeforeTime && { notBeforeTime }),
    ...(expireTime && { expireTime }),
  };
}

/** A time with its zone, or a while from now. Without zone it would be another time on another machine. */
function timeOf(text: string | undefined): Timestamp | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? [];
  if (count !== undefined) return timestampFromMs(Date.now() + Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS]);
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return timestampFromMs(ms);
  const sentence = `${text} is not a time; write one with its zone, such as 2026-12-01T08:00:00Z, or 30m, 8h, 7d from now`;
  throw misuse(sentence);
}
