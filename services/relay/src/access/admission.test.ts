import { type Subject, TokenVerifier } from "@fairlead/authentication";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { Clusters } from "../clusters/clusters.ts";
import { openStore, type Store } from "../store/store.ts";
import { AccessRules } from "./access-rules.ts";
import { Admission } from "./admission.ts";

let store: Store;
let clusters: Clusters;
let rules: AccessRules;
let admission: Admission;

beforeEach(async () => {
  store = await openStore(":memory:");
  clusters = await Clusters.load(store);
  rules = await AccessRules.load(store);
  const administrators = { users: ["root"], groups: ["admins"] };
  admission = new Admission(new TokenVerifier([], Hop.RELAY), clusters, rules, administrators);
  for (const name of ["prod", "staging"]) await clusters.create(name, { env: name });
  await rules.create({ name: "dev", users: [], groups: ["dev"], clusters: ["staging"], clusterLabels: {} });
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
