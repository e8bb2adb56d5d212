import type { Subject } from "@fairlead/authentication";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { openStore, type Store } from "../store/store.ts";
import type { AccessRuleRecord } from "./access-rule.ts";
import { AccessRules } from "./access-rules.ts";

let store: Store;
let rules: AccessRules;

beforeEach(async () => {
  store = await openStore({ kind: "sqlite", file: ":memory:" });
  rules = await AccessRules.load(store);
});

afterEach(() => store.destroy());

const rule = (changes: Partial<AccessRuleRecord>): AccessRuleRecord => ({
  name: "rule",
  users: [],
  groups: [],
  clusters: [],
  clusterLabels: {},
  userPrefixes: [],
  readOnly: false,
  notBeforeMs: undefined,
  expiresAtMs: undefined,
  ...changes,
});

const subject = (user: string, ...groups: string[]): Subject => ({ user, groups, uid: undefined, expiresAtMs: 0 });

const cluster = (name: string, labels: Record<string, string> = {}) => ({ name, labels, lastSeenAtMs: undefined });

const NOW = Date.parse("2026-11-25T12:00:00Z");

/** Whether the rules let the subject do anything in the cluster. */
const allows = (of: AccessRules, who: Subject, where: ReturnType<typeof cluster>): boolean =>
  of.grant(who, where, NOW).fullUntilMs === Number.POSITIVE_INFINITY;

const PROD = cluster("prod-eu1", { env: "prod", region: "eu" });

describe("a rule", () => {
  it.each<[what: string, rule: Partial<AccessRuleRecord>, who: Subject, allowed: boolean]>([
    ["by user and name", { users: ["jane"], clusters: ["prod-eu1"] }, subject("jane"), true],
    ["for another user", { users: ["joe"], clusters: ["prod-eu1"] }, subject("jane"), false],
    ["for the user in another case", { users: ["Jane"], clusters: ["prod-eu1"] }, subject("jane"), false],
    ["for a part of the user's name", { users: ["jan"], clusters: ["prod-eu1"] }, subject("jane"), false],
    ["for *, which is no user but a name", { users: ["*"], clusters: ["prod-eu1"] }, subject("jane"), false],
    ["for one of several users", { users: ["joe", "jane"], clusters: ["prod-eu1"] }, subject("jane"), true],
    ["by group and name", { groups: ["dev"], clusters: ["prod-eu1"] }, subject("jane", "dev"), true],
    ["for one of the user's groups", { groups: ["dev"], clusters: ["prod-eu1"] }, subject("jane", "ops", "dev"), true],
    ["for another group", { groups: ["ops"], clusters: ["prod-eu1"] }, subject("jane", "dev"), false],
    ["for a group, to a user without groups", { groups: ["dev"], clusters: ["prod-eu1"] }, subject("jane"), false],
    ["for a user of the group's name", { groups: ["dev"], clusters: ["prod-eu1"] }, subject("dev"), false],
    ["for a group of the user's name", { users: ["dev"], clusters: ["prod-eu1"] }, subject("jane", "dev"), false],
    ["for *, which is no group but a name", { groups: ["*"], clusters: ["prod-eu1"] }, subject("jane", "dev"), false],
    ["for another cluster", { users: ["jane"], clusters: ["prod-eu2"] }, subject("jane"), false],
    ["for a part of the cluster's name", { users: ["jane"], clusters: ["prod-*", "prod"] }, subject("jane"), false],
    ["for every cluster", { users: ["jane"], clusters: ["*"] }, subject("jane"), true],
    ["for one of several clusters", { users: ["jane"], clusters: ["a", "prod-eu1"] }, subject("jane"), true],
    ["by label", { users: ["jane"], clusterLabels: { env: "prod" } }, subject("jane"), true],
    ["by all of two labels", { users: ["jane"], clusterLabels: { env: "prod", region: "eu" } }, subject("jane"), true],
    ["by one of two labels", { users: ["jane"], clusterLabels: { env: "prod", region: "us" } }, subject("jane"), false],
    ["by a label with another value", { users: ["jane"], clusterLabels: { env: "staging" } }, subject("jane"), false],
    ["by a label that is not there", { users: ["jane"], clusterLabels: { tier: "1" } }, subject("jane"), false],
    [
      "by an empty value of one that is not there",
      { users: ["jane"], clusterLabels: { tier: "" } },
      subject("jane"),
      false,
    ],
    ["by * as a label's value", { users: ["jane"], clusterLabels: { env: "*" } }, subject("jane"), false],
    ["by a label of every object's", { users: ["jane"], clusterLabels: { constructor: "" } }, subject("jane"), false],
    [
      "by name, although its labels do not match",
      { users: ["jane"], clusters: ["prod-eu1"], clusterLabels: { env: "staging" } },
      subject("jane"),
      true,
    ],
    [
      "by labels, although its names do not match",
      { users: ["jane"], clusters: ["a"], clusterLabels: { env: "prod" } },
      subject("jane"),
      true,
    ],
  ])("%s", async (_what, changes, who, allowed) => {
    await rules.create(rule(changes));
    expect(allows(rules, who, PROD)).toBe(allowed);
  });

  it("by labels does not reach a cluster without labels", async () => {
    await rules.create(rule({ users: ["jane"], clusterLabels: { env: "prod" } }));
    expect(allows(rules, subject("jane"), cluster("bare"))).toBe(false);
  });

  it("is needed: without one nobody reaches anything", () => {
    expect(allows(rules, subject("jane", "dev", "admins"), PROD)).toBe(false);
  });

  it("is enough by itself, among others that do not match", async () => {
    await rules.create(rule({ name: "a", users: ["joe"], clusters: ["*"] }));
    await rules.create(rule({ name: "b", groups: ["dev"], clusters: ["prod-eu1"] }));
    expect(allows(rules, subject("jane", "dev"), PROD)).toBe(true);
    expect(allows(rules, subject("jane", "dev"), cluster("other"))).toBe(false);
  });

  it("allows nothing any more when it is removed", async () => {
    await rules.create(rule({ users: ["jane"], clusters: ["*"] }));
    await rules.delete("rule");
    expect(allows(rules, subject("jane"), PROD)).toBe(false);
  });
});

describe("a rule by the beginning of names", () => {
  it.each([
    ["repo:acme/app:", "repo:acme/app:ref:refs/heads/main", true],
    ["repo:acme/", "repo:acme/app:ref:refs/heads/main", true],
    ["repo:acme/app:", "repo:acme/app-of-mallory:ref:refs/heads/main", false],
    ["repo:acme/app:", "repo:acme/ap", false],
    ["repo:acme/app:", "repo:acme/app:", false], // nothing behind it is nobody's name
    ["repo:acme/app:", "REPO:acme/app:x", false],
    ["repo:acme/app:", "x:repo:acme/app:y", false],
    ["repo:acme/app:*:", "repo:acme/app:x:y", false], // a star is a star
  ])("%s takes %s: %s", async (prefix, user, taken) => {
    await rules.create(rule({ userPrefixes: [prefix], clusters: ["*"] }));
    expect(allows(rules, subject(user), PROD)).toBe(taken);
  });

  it("is not for groups that begin so", async () => {
    await rules.create(rule({ userPrefixes: ["repo:"], clusters: ["*"] }));
    expect(allows(rules, subject("jane", "repo:acme/app"), PROD)).toBe(false);
  });

  it.each(["", ":", "/", "::", "repo:acme/app", "repo:acme/app*", "*", "j"])("is not made with %j", async (prefix) => {
    const made = rules.create(rule({ userPrefixes: [prefix], clusters: ["*"] }));
    await expect(made).rejects.toMatchObject({ code: ErrorCode.MALFORMED_REQUEST });
  });
});

describe("a rule that is said anew", () => {
  const jane = rule({ users: ["jane"], clusters: ["*"], expiresAtMs: NOW + 1 });
  const joe = rule({ users: ["joe"], clusters: ["prod-eu1"], readOnly: true, notBeforeMs: 5 });

  it("counts in its new form alone, after a restart too", async () => {
    await rules.create(jane);
    await rules.update(joe);
    expect(rules.list()).toEqual([joe]);
    expect((await AccessRules.load(store)).list()).toEqual([joe]);
  });

  it("is held to the same as a new one", async () => {
    await rules.create(jane);
    const nobody = rules.update(rule({ clusters: ["*"] }));
    await expect(nobody).rejects.toMatchObject({ code: ErrorCode.MALFORMED_REQUEST });
    expect(rules.list()).toEqual([jane]);
  });

  it("must be there, also when it is removed at the same instant", async () => {
    await expect(rules.update(jane)).rejects.toMatchObject({ code: ErrorCode.MALFORMED_REQUEST });
    await rules.create(jane);
    const outcomes = await Promise.allSettled([rules.delete("rule"), rules.update(joe)]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(rules.list()).toEqual([]);
    expect((await AccessRules.load(store)).list()).toEqual([]);
  });
});

describe("the rules", () => {
  it("are there again when the relay starts again", async () => {
    const narrow = { userPrefixes: ["repo:a/"], readOnly: true, notBeforeMs: 0, expiresAtMs: 1_800_000_000_123 };
    await rules.create(rule({ name: "narrow", clusters: ["a"], ...narrow }));
    expect((await AccessRules.load(store)).list()).toEqual([rule({ name: "narrow", clusters: ["a"], ...narrow })]);
    await rules.delete("narrow");
    const full = rule({ users: ["jürgen"], groups: ["a,b"], clusters: ["*"], clusterLabels: { env: "prod" } });
    await rules.create(full);
    await rules.create(rule({ name: "another", users: ["joe"], clusters: ["a"] }));
    const again = await AccessRules.load(store);
    expect(again.list()).toEqual([rule({ name: "another", users: ["joe"], clusters: ["a"] }), full]);
    expect(allows(again, subject("jürgen"), PROD)).toBe(true);
    await again.delete("rule");
    expect((await AccessRules.load(store)).list()).toHaveLength(1);
  });

  it.each<[what: string, changes: Partial<AccessRuleRecord>, says: RegExp]>([
    ["no name", { name: "" }, /a rule's name/],
    ["a name that is no label", { name: "Developers!" }, /a rule's name/],
    ["neither user nor group", { users: [], groups: [] }, /at least one user or group/],
    ["an end before its beginning", { notBeforeMs: 2, expiresAtMs: 1 }, /would end before it begins/],
    ["an end at its beginning", { notBeforeMs: 2, expiresAtMs: 2 }, /would end before it begins/],
    ["neither cluster nor label", { clusters: [], clusterLabels: {} }, /at least one cluster or cluster label/],
  ])("take none with %s", async (_what, changes, says) => {
    const made = rules.create(rule({ users: ["jane"], clusters: ["*"], ...changes }));
    await expect(made).rejects.toMatchObject({
      code: ErrorCode.MALFORMED_REQUEST,
      hop: Hop.RELAY,
      message: expect.stringMatching(says),
    });
    expect(rules.list()).toEqual([]);
  });

  it("take no two of one name, one after the other or at the same instant", async () => {
    const jane = rule({ users: ["jane"], clusters: ["a"] });
    const joe = rule({ users: ["joe"], clusters: ["*"] });
    const outcomes = await Promise.allSettled([rules.create(jane), rules.create(joe)]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    await expect(rules.create(joe)).rejects.toMatchObject({ code: ErrorCode.ALREADY_EXISTS });
    expect(outcomes[1]).toMatchObject({ reason: { code: ErrorCode.ALREADY_EXISTS } });
    expect(rules.list()).toEqual([jane]);
    expect((await AccessRules.load(store)).list()).toEqual([jane]);
  });

  it("cannot lose one that is not there", async () => {
    await expect(rules.delete("missing")).rejects.toMatchObject({ code: ErrorCode.MALFORMED_REQUEST });
  });
});
