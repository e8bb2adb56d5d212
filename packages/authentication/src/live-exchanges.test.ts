import { create } from "@bufbuild/protobuf";
import { type Credential, CredentialSchema, ErrorCode, FairleadError, Hop, newExchangeId } from "@fairlead/protocol";
import { beforeEach, describe, expect, it } from "@jest/globals";
import { type LiveExchange, LiveExchanges } from "./live-exchanges.ts";
import type { Subject } from "./subject.ts";

const JANE: Subject = {
  user: "jane",
  groups: ["dev", "ops"],
  uid: "u-1",
  extra: { "example.com/team": ["a", "b"] },
  keyThumbprint: "key-1",
  expiresAtMs: 1_000_000,
};
const LATER = { ...JANE, expiresAtMs: 2_000_000 };

let live: LiveExchanges<LiveExchange>;
let exchangeId: Uint8Array;

beforeEach(() => {
  live = new LiveExchanges(Hop.RELAY);
  exchangeId = newExchangeId();
});

const begin = (caller = JANE, cluster = "prod", id = exchangeId) => {
  const exchange = { caller };
  return { exchange, over: live.begin({ exchangeId: id, cluster }, exchange) };
};
const credential = (changes: Partial<Credential> = {}) =>
  Object.assign(create(CredentialSchema, { exchangeId, cluster: "prod", token: "t" }), changes);

function refusalOf(caller: Subject, changes: Partial<Credential> = {}): FairleadError {
  try {
    live.find(credential(changes), caller);
  } catch (error) {
    if (error instanceof FairleadError) return error;
    throw error;
  }
  throw new Error("it was found");
}

describe("an exchange under way", () => {
  it("is found by its id, for who began it", () => {
    const { exchange } = begin();
    expect(live.find(credential(), LATER)).toBe(exchange);
  });

  it("is found whatever the order of groups is that the newer token has", () => {
    const { exchange } = begin();
    expect(live.find(credential(), { ...LATER, groups: ["ops", "dev"] })).toBe(exchange);
  });

  it("is found again by a newer token still, once it has the newer one", () => {
    const { exchange } = begin();
    exchange.caller = LATER;
    expect(live.find(credential(), { ...LATER, expiresAtMs: 3_000_000 })).toBe(exchange);
  });

  it.each<[what: string, changes: Partial<Subject>]>([
    ["another user", { user: "joe" }],
    ["a user whose name begins so", { user: "jane2" }],
    ["a user whose name differs by case", { user: "Jane" }],
    ["another uid", { uid: "u-2" }],
    ["no uid", { uid: undefined }],
    ["a group less", { groups: ["dev"] }],
    ["no group", { groups: [] }],
    ["a group more", { groups: ["dev", "ops", "quarantined"] }],
    ["as many other groups", { groups: ["dev", "admins"] }],
    ["another value of an extra", { extra: { "example.com/team": ["a", "c"] } }],
    ["an extra's values in another order", { extra: { "example.com/team": ["b", "a"] } }],
    ["an extra more", { extra: { "example.com/team": ["a", "b"], "example.com/x": ["y"] } }],
    ["another key", { keyThumbprint: "key-2" }],
  ])("is not carried on by a token of %s, and that reads as if there were none", (_what, changes) => {
    const unknown = refusalOf(LATER);
    begin();
    const refusal = refusalOf({ ...LATER, ...changes });
    expect(refusal).toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.RELAY });
    expect(refusal.message).toBe(unknown.message);
  });

  it.each(["extra", "keyThumbprint"] as const)("is not carried on by a token without %s", (name) => {
    begin();
    const { [name]: _left, ...without } = LATER;
    expect(refusalOf(without as Subject)).toMatchObject({ code: ErrorCode.ACCESS_DENIED });
  });

  it.each(["extra", "keyThumbprint"] as const)(
    "that was begun without %s is not carried on by a token with it",
    (name) => {
      const { [name]: _left, ...without } = JANE;
      begin(without as Subject);
      expect(refusalOf(LATER)).toMatchObject({ code: ErrorCode.ACCESS_DENIED });
    },
  );

  it.each<[what: string, changes: Partial<Credential>]>([
    ["another id", { exchangeId: newExchangeId() }],
    ["another cluster", { cluster: "stage" }],
    ["no cluster", { cluster: "" }],
  ])("is not found by %s", (_what, changes) => {
    begin();
    expect(refusalOf(LATER, changes)).toMatchObject({ code: ErrorCode.ACCESS_DENIED });
  });

  it.each([
    ["as old", 1_000_000],
    ["older", 999_999],
    ["without expiry", 0],
    ["whose expiry is no number", Number.NaN],
  ])("is not carried on by a token that is %s", (_what, expiresAtMs) => {
    begin();
    expect(refusalOf({ ...JANE, expiresAtMs })).toMatchObject({ code: ErrorCode.TOKEN_REFUSED, hop: Hop.RELAY });
  });

  it("is not found any more when it is over", () => {
    const { over } = begin();
    over();
    over();
    expect(refusalOf(LATER)).toMatchObject({ code: ErrorCode.ACCESS_DENIED });
    expect(live.count).toBe(0);
  });

  it("cannot be hidden by somebody else who gives theirs the same id", () => {
    const { exchange } = begin();
    const joe = { ...JANE, user: "joe" };
    const joes = begin(joe);
    const elsewhere = begin(JANE, "stage");
    expect(live.find(credential(), LATER)).toBe(exchange);
    expect(live.find(credential(), { ...joe, expiresAtMs: 2_000_000 })).toBe(joes.exchange);
    joes.over();
    elsewhere.over();
    expect(live.find(credential(), LATER)).toBe(exchange);
  });

  it("of the same caller and id as another stays when that one is over", () => {
    const first = begin();
    const second = begin();
    first.over();
    expect(live.find(credential(), LATER)).toBe(second.exchange);
    second.over();
    expect(live.count).toBe(0);
  });

  it("is told apart where cluster and user could be read as one text", () => {
    begin({ ...JANE, user: "x" }, "prod\0jane");
    expect(refusalOf({ ...LATER, user: "jane\0x" }, { cluster: "prod" })).toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
    });
  });
});
