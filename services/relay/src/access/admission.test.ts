import { create } from "@bufbuild/protobuf";
import { type Subject, TokenVerifier } from "@fairlead/authentication";
import { ErrorCode, Hop, ScopeSchema } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { Clusters } from "../clusters/clusters.ts";
import { openStore, type Store } from "../store/store.ts";
import type { AccessRuleRecord } from "./access-rule.ts";
import { AccessRules } from "./access-rules.ts";
import { Admission } from "./admission.ts";

const NOTHING: AccessRuleRecord = {
  name: "",
  users: [],
  userPrefixes: [],
  groups: [],
  clusters: [],
  clusterLabels: {},
  readOnly: false,
  notBeforeMs: undefined,
  expiresAtMs: undefined,
};

let store: Store;
let clusters: Clusters;
let rules: AccessRules;
let admission: Admission;

beforeEach(async () => {
  store = await openStore({ kind: "sqlite", file: ":memory:" });
  clusters = await Clusters.load(store);
  rules = await AccessRules.load(store);
  const administrators = { users: ["root"], groups: ["admins"] };
  admission = new Admission(new TokenVerifier([], Hop.RELAY), clusters, rules, administrators);
  for (const name of ["prod", "staging"]) await clusters.create(name, { env: name });
  await rules.create({ ...NOTHING, name: "dev", groups: ["dev"], clusters: ["staging"] });
});

afterEach(() => store.destroy());

const subject = (user: string, ...groups: string[]): Subject => ({ user, groups, uid: undefined, expiresAtMs: 0 });
const jane = subject("jane", "dev");
const names = (who: Subject) => admission.visible(who).map(({ name }) => name);

describe("a caller", () => {
  it("reaches the cluster that a rule allows", () => {
    expect(admission.admit(jane, "staging").name).toBe("staging");
  });

  it("hears the same of a cluster that is not theirs and of one that is not there, but for its name", () => {
    const fault = (name: string) => {
      try {
        admission.admit(jane, name);
      } catch (error) {
        const { code, hop, message, retryAfterSeconds } = Object(error);
        return { code, hop, message: message.replaceAll(name, "NAME"), retryAfterSeconds };
      }
      throw new Error("admitted");
    };
    expect(fault("prod")).toEqual(fault("nowhere"));
    expect(fault("prod").code).toBe(ErrorCode.CLUSTER_UNKNOWN);
  });

  it.each([["__proto__"], [""], ["*"], ["staging "], ["STAGING"]])("reaches no cluster by the name %j", (name) => {
    expect(() => admission.admit(jane, name)).toThrow(expect.objectContaining({ code: ErrorCode.CLUSTER_UNKNOWN }));
  });

  it("sees what they may reach, and nothing else", () => {
    expect(names(jane)).toEqual(["staging"]);
    expect(names(subject("joe"))).toEqual([]);
  });

  it("without token is nobody", async () => {
    await expect(admission.authenticate(undefined)).rejects.toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
  });
});

describe("an exchange", () => {
  const HOUR_MS = 3_600_000;
  const never = Number.POSITIVE_INFINITY;
  const anna = (...groups: string[]): Subject => ({ ...subject("anna", ...groups), expiresAtMs: never });
  const EXEC = { method: "GET", target: "/api/v1/namespaces/ns/pods/p/exec", upgrade: "websocket", cluster: "prod" };
  const GET = { method: "GET", target: "/api/v1/pods", upgrade: "", cluster: "prod" };
  const DENIED = expect.objectContaining({ code: ErrorCode.ACCESS_DENIED, hop: Hop.RELAY });
  const UNKNOWN = expect.objectContaining({ code: ErrorCode.CLUSTER_UNKNOWN });
  const allow = (name: string, changes: Partial<AccessRuleRecord>) =>
    rules.create({ ...NOTHING, name, users: ["anna"], clusters: ["prod"], ...changes });
  const limit = (...names: string[]) => create(ScopeSchema, { groups: { names } });

  it("that reads is let in by a read-only rule, one that does more is not, and hears why", async () => {
    await allow("viewers", { readOnly: true });
    expect(admission.admitExchange(anna(), GET)).toBe(never);
    expect(() => admission.admitExchange(anna(), EXEC)).toThrow(DENIED);
    expect(() => admission.admitExchange(anna(), { ...GET, method: "DELETE" })).toThrow(
      /"deletecollection pods" is more/,
    );
    expect(() => admission.admitExchange(anna(), { ...GET, target: "/api//v1/pods" })).toThrow(DENIED);
  });

  it("does what any of several rules lets it", async () => {
    await allow("viewers", { readOnly: true });
    await allow("editors", { users: [], groups: ["edit"] });
    expect(admission.admitExchange(anna("edit"), EXEC)).toBe(never);
    expect(() => admission.admitExchange(anna(), EXEC)).toThrow(DENIED);
  });

  it("is let in until the last rule that lets it in expires, or its token", async () => {
    const soonMs = Date.now() + HOUR_MS;
    await allow("today", { expiresAtMs: soonMs });
    await allow("later", { expiresAtMs: soonMs + HOUR_MS, readOnly: true });
    expect(admission.admitExchange(anna(), EXEC)).toBe(soonMs);
    expect(admission.admitExchange(anna(), GET)).toBe(soonMs + HOUR_MS);
    expect(admission.admitExchange({ ...anna(), expiresAtMs: soonMs - 5 }, EXEC)).toBe(soonMs - 5);
    expect(admission.admitExchange({ ...anna(), expiresAtMs: soonMs + 5 }, GET)).toBe(soonMs + 5);
  });

  it("is not let in by a rule that has ended, or has not begun", async () => {
    await allow("ended", { expiresAtMs: Date.now() });
    await allow("begins", { notBeforeMs: Date.now() + HOUR_MS });
    expect(() => admission.admitExchange(anna(), GET)).toThrow(UNKNOWN);
    expect(names(anna())).toEqual([]);
  });

  it("of a caller without any rule hears of no cluster, and not what it would need", () => {
    expect(() => admission.admitExchange(anna(), EXEC)).toThrow(UNKNOWN);
  });

  it("counts only the groups of its scope", async () => {
    await allow("viewers", { users: [], groups: ["view"], readOnly: true });
    await allow("editors", { users: [], groups: ["edit"] });
    const both = anna("view", "edit");
    expect(admission.admitExchange(both, EXEC)).toBe(never);
    expect(admission.admitExchange(both, { ...GET, scope: limit("view") })).toBe(never);
    expect(() => admission.admitExchange(both, { ...EXEC, scope: limit("view") })).toThrow(DENIED);
    expect(() => admission.admitExchange(both, { ...GET, scope: limit() })).toThrow(UNKNOWN);
    expect(() => admission.admitExchange(anna("view"), { ...EXEC, scope: limit("edit") })).toThrow(UNKNOWN);
  });
});

describe("an administrator", () => {
  it.each([
    ["by name", subject("root"), true],
    ["by group", subject("joe", "dev", "admins"), true],
    ["not by a group of the user's name", subject("joe", "root"), false],
    ["not by a user of the group's name", subject("admins"), false],
    ["not by another case", subject("Root", "Admins"), false],
  ])("is one %s", (_what, who, is) => {
    expect(admission.isAdministrator(who)).toBe(is);
    const demand = expect(() => admission.requireAdministrator(who));
    if (is) demand.not.toThrow();
    else demand.toThrow(expect.objectContaining({ code: ErrorCode.ACCESS_DENIED, hop: Hop.RELAY }));
  });

  it("sees every cluster and reaches none without a rule", () => {
    expect(names(subject("root"))).toEqual(["prod", "staging"]);
    expect(() => admission.admit(subject("root"), "prod")).toThrow(
      expect.objectContaining({ code: ErrorCode.CLUSTER_UNKNOWN }),
    );
  });

  it("is nobody when none is configured", () => {
    const none = new Admission(new TokenVerifier([], Hop.RELAY), clusters, rules, { users: [], groups: [] });
    expect(none.isAdministrator(subject("", ""))).toBe(false);
  });
});
