import { describe, expect, it } from "@jest/globals";
import type { AccessRuleRecord } from "./access-rule.ts";
import { explain, grantOf } from "./grant.ts";

const NOW = Date.parse("2026-11-25T12:00:00Z");
const NEVER = Number.POSITIVE_INFINITY;
const JANE = { user: "jane", groups: ["dev", "ops"] };
const PROD = { name: "prod", labels: { env: "prod", region: "eu" }, lastSeenAtMs: undefined };

const rule = (changes: Partial<AccessRuleRecord>): AccessRuleRecord => ({
  name: "rule",
  users: ["jane"],
  userPrefixes: [],
  groups: [],
  clusters: ["prod"],
  clusterLabels: {},
  readOnly: false,
  notBeforeMs: undefined,
  expiresAtMs: undefined,
  ...changes,
});
const reading = rule({ readOnly: true });

describe("the sum of rules", () => {
  it.each<[what: string, rules: AccessRuleRecord[], full: number, readingUntil: number]>([
    ["none lets nobody do anything", [], 0, 0],
    ["one without end", [rule({})], NEVER, NEVER],
    ["one to read", [reading], 0, NEVER],
    ["one to read and one for all", [reading, rule({})], NEVER, NEVER],
    ["one for all that ends, and one to read", [rule({ expiresAtMs: NOW + 9 }), reading], NOW + 9, NEVER],
    [
      "one to read that ends, and one for all",
      [rule({ readOnly: true, expiresAtMs: NOW + 9 }), rule({})],
      NEVER,
      NEVER,
    ],
    [
      "two that end: the later counts",
      [rule({ expiresAtMs: NOW + 9 }), rule({ expiresAtMs: NOW + 5 })],
      NOW + 9,
      NOW + 9,
    ],
    ["one that has ended", [rule({ expiresAtMs: NOW - 1 })], 0, 0],
    ["one that ends now", [rule({ expiresAtMs: NOW })], 0, 0],
    ["one that begins now", [rule({ notBeforeMs: NOW })], NEVER, NEVER],
    ["one that begins later", [rule({ notBeforeMs: NOW + 1 })], 0, 0],
    ["one of others", [rule({ users: ["joe"] })], 0, 0],
    ["one of others takes nothing away", [rule({}), rule({ users: ["joe"], readOnly: true })], NEVER, NEVER],
  ])("%s", (_what, rules, fullUntilMs, readingUntilMs) => {
    expect(grantOf(rules, JANE, PROD, NOW)).toEqual({ fullUntilMs, readingUntilMs });
  });
});

describe("an explanation", () => {
  it.each<[what: string, rules: AccessRuleRecord[], level: string, until: number | undefined]>([
    ["without rules", [], "denied", undefined],
    ["full without end", [rule({})], "full", undefined],
    ["full until it ends", [rule({ expiresAtMs: NOW + 9 })], "full", NOW + 9],
    ["full until it ends, then to read", [rule({ expiresAtMs: NOW + 9 }), reading], "full", NOW + 9],
    ["to read until more begins", [reading, rule({ notBeforeMs: NOW + 5 })], "read-only", NOW + 5],
    ["denied until something begins", [rule({ notBeforeMs: NOW + 5 })], "denied", NOW + 5],
    [
      "full through a relay of rules",
      [rule({ expiresAtMs: NOW + 9 }), rule({ notBeforeMs: NOW + 8, expiresAtMs: NOW + 20 })],
      "full",
      NOW + 20,
    ],
    ["full with a gap of no time", [rule({ expiresAtMs: NOW + 9 }), rule({ notBeforeMs: NOW + 9 })], "full", undefined],
    [
      "untouched by rules of others that end",
      [rule({}), rule({ users: ["joe"], expiresAtMs: NOW + 5 })],
      "full",
      undefined,
    ],
    ["denied for ever by one that has ended", [rule({ expiresAtMs: NOW - 5 })], "denied", undefined],
  ])("%s", (_what, rules, level, untilMs) => {
    expect(explain(rules, JANE, PROD, NOW)).toMatchObject({ level, untilMs });
  });

  it.each<[reason: string, applies: boolean, changes: Partial<AccessRuleRecord>]>([
    ["it is for the user jane and the cluster prod", true, {}],
    ["it is for the user jane and the cluster prod, for reading only", true, { readOnly: true }],
    ["it is for the group ops and every cluster", true, { users: [], groups: ["ops"], clusters: ["*"] }],
    [
      "it is for the user jane and clusters with env=prod,region=eu",
      true,
      { clusters: [], clusterLabels: { env: "prod", region: "eu" } },
    ],
    ["it names neither the user nor one of the groups", false, { users: ["joe"], groups: ["admins"] }],
    ["it is for the user jane, but not for this cluster", false, { clusters: ["staging"] }],
    ["it is for the user jane, but not for this cluster", false, { clusters: [], clusterLabels: { env: "staging" } }],
    [
      "it is for the user jane and the cluster prod, but begins only at 2026-11-25T12:00:01.000Z",
      false,
      { notBeforeMs: NOW + 1_000 },
    ],
    [
      "it is for the user jane and the cluster prod, but ended at 2026-11-25T11:59:59.000Z",
      false,
      { expiresAtMs: NOW - 1_000 },
    ],
  ])("says of a rule: %s", (reason, applies, changes) => {
    expect(explain([rule(changes)], JANE, PROD, NOW).rules).toMatchObject([{ applies, reason }]);
  });

  it("says of a rule by the beginning of a name whom it is for", () => {
    const ci = { user: "repo:acme/app:ref:refs/heads/main", groups: [] };
    const [said] = explain([rule({ users: [], userPrefixes: ["repo:acme/app:"] })], ci, PROD, NOW).rules;
    expect(said?.reason).toBe("it is for users that begin with repo:acme/app: and the cluster prod");
  });

  it("agrees with the sum for random rules at random times", () => {
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state % below;
    };
    const time = () => (random(3) === 0 ? undefined : NOW + random(20) - 10);
    for (let i = 0; i < 3_000; i++) {
      const rules = Array.from({ length: random(5) }, () =>
        rule({
          users: random(4) === 0 ? ["joe"] : ["jane"],
          readOnly: random(2) === 0,
          notBeforeMs: time(),
          expiresAtMs: time(),
        }),
      );
      const { level, untilMs } = explain(rules, JANE, PROD, NOW);
      const levelAt = (atMs: number) => explain(rules, JANE, PROD, atMs).level;
      const lastMs = Math.min(untilMs ?? NOW + 30, NOW + 30);
      for (let atMs = NOW; atMs < lastMs; atMs++) expect(levelAt(atMs)).toBe(level);
      if (untilMs !== undefined) expect(levelAt(untilMs)).not.toBe(level);
    }
  });
});
