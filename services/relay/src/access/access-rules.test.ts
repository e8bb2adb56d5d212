import type { Subject } from "@fairlead/authentication";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { openStore, type Store } from "../store/store.ts";
import { type AccessRuleRecord, AccessRules } from "./access-rules.ts";

let store: Store;
let rules: AccessRules;

beforeEach(async () => {
  store = await openStore(":memory:");
  rules = await AccessRules.load(store);
});

afterEach(() => store.destroy());

const rule = (changes: Partial<AccessRuleRecord>): AccessRuleRecord => ({
  name: "rule",
  users: [],
  groups: [],
  clusters: [],
  clusterLabels: {},
  ...changes,
});

const subject = (user: string, ...groups: string[]): Subject => ({ user, groups, uid: undefined, expiresAtMs: 0 });

const cluster = (name: string, labels: Record<string, string> = {}) => ({ name, labels, lastSeenAtMs: undefined });

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
    expect(rules.allows(who, PROD)).toBe(allowed);
  });

  it("by labels does not reach a cluster without labels", async () => {
    await rules.create(rule({ users: ["jane"], clusterLabels: { env: "prod" } }));
    expect(rules.allows(subject("jane"), cluster("bare"))).toBe(false);
  });

  it("is needed: without one nobody reaches anything", () => {
    expect(rules.allows(subject("jane", "dev", "admins"), PROD)).toBe(false);
  });

  it("is enough by itself, among others that do not match", async () => {
    await rules.create(rule({ name: "a", users: ["joe"], clusters: ["*"] }));
    await rules.create(rule({ name: "b", groups: ["dev"], clusters: ["prod-eu1"] }));
    expect(rules.allows(subject("jane", "dev"), PROD)).toBe(true);
    expect(rules.allows(subject("jane", "dev"), cluster("other"))).toBe(false);
  });

  it("allows nothing any more when it is removed", async () => {
    await rules.create(rule({ users: ["jane"], clusters: ["*"] }));
    await rules.delete("rule");
    expect(rules.allows(subject("jane"), PROD)).toBe(false);
  });
});

describe("the rules", () => {
  it("are there again when the relay starts again", async () => {
    const full = rule({ users: ["jürgen"], groups: ["a,b"], clusters: ["*"], clusterLabels: { env: "prod" } });
    await rules.create(full);
    await rules.create(rule({ name: "another", users: ["joe"], clusters: ["a"] }));
    const again = await AccessRules.load(store);
    expect(again.list()).toEqual([rule({ name: "another", users: ["joe"], clusters: ["a"] }), full]);
    expect(again.allows(subject("jürgen"), PROD)).toBe(true);
    await again.delete("rule");
    expect((await AccessRules.load(store)).list()).toHaveLength(1);
  });

  it.each<[what: string, changes: Partial<AccessRuleRecord>, says: RegExp]>([
    ["no name", { name: "" }, /a rule's name/],
    ["a name that is no label", { name: "Developers!" }, /a rule's name/],
    ["neither user nor group", { users: [], groups: [] }, /at least one user or group/],
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
