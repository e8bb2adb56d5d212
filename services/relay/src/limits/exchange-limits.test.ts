import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { beforeEach, describe, expect, it } from "@jest/globals";
import { ExchangeLimits } from "./exchange-limits.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { LIMIT_NAMES, type Refused } from "./refusal.ts";

let nowMs: number;
let told: Refused[];

beforeEach(() => {
  nowMs = 1_000_000;
  told = [];
});

function limitsWith(changes: Partial<Limits> = {}): ExchangeLimits {
  const limits = { ...DEFAULT_LIMITS, ...changes };
  return new ExchangeLimits({ limits, nowMs: () => nowMs, refused: (refused) => told.push(refused) });
}

/** The refusal of an exchange; fails if it is let through. */
function refusalOf(limits: ExchangeLimits, user: string, cluster = "prod"): FairleadError {
  try {
    limits.take(user, cluster);
  } catch (error) {
    if (error instanceof FairleadError) return error;
    throw error;
  }
  throw new Error("it was let through");
}

const take = (limits: ExchangeLimits, times: number, user: string, cluster = "prod") =>
  Array.from({ length: times }, () => limits.take(user, cluster));

describe("the limits of one user", () => {
  it("let that many exchanges be under way, over all clusters, and say what to do", () => {
    const limits = limitsWith({ exchangesPerUser: 3 });
    take(limits, 2, "jane", "a");
    const [leave] = take(limits, 1, "jane", "b");
    const refused = refusalOf(limits, "jane", "c");
    expect(refused).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, hop: Hop.RELAY, retryAfterSeconds: 1 });
    expect(refused.message).toMatch(
      /you have 3 requests under way.*this relay.*limits\.exchangesPerUser\); end watches/,
    );
    leave?.();
    limits.take("jane", "c");
  });

  it("are met by that user alone", () => {
    const limits = limitsWith({ exchangesPerUser: 2, newExchangesPerUserBurst: 4, newExchangesPerUserPerSecond: 1 });
    take(limits, 2, "jane");
    refusalOf(limits, "jane");
    take(limits, 2, "joe").forEach((leave) => void leave());
    take(limits, 2, "joe").forEach((leave) => void leave());
    expect(refusalOf(limits, "joe").message).toMatch(/newExchangesPerUserPerSecond/);
    limits.take("jill", "prod");
  });

  it("let a burst begin at once, and then so many a second", () => {
    const limits = limitsWith({ newExchangesPerUserPerSecond: 2, newExchangesPerUserBurst: 5 });
    for (const leave of take(limits, 5, "jane")) leave();
    const refused = refusalOf(limits, "jane");
    expect(refused).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, hop: Hop.RELAY, retryAfterSeconds: 1 });
    expect(refused.message).toMatch(
      /2 a second after a burst of 5 \(limits\.newExchangesPerUserPerSecond\); slow down/,
    );
    nowMs += 1_000;
    take(limits, 2, "jane");
    refusalOf(limits, "jane");
  });

  it("say in whole seconds when to come back, to each another time", () => {
    const limits = limitsWith({ newExchangesPerUserPerSecond: 2, newExchangesPerUserBurst: 2 });
    take(limits, 2, "jane");
    const seconds = Array.from({ length: 6 }, () => refusalOf(limits, "jane").retryAfterSeconds);
    expect(seconds).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it("take no token for an exchange that finds no place, and no place for one that finds no token", () => {
    const limits = limitsWith({ exchangesPerUser: 1, newExchangesPerUserPerSecond: 1, newExchangesPerUserBurst: 2 });
    const leave = limits.take("jane", "prod");
    for (let i = 0; i < 100; i++) refusalOf(limits, "jane");
    leave();
    limits.take("jane", "prod")();
    expect(refusalOf(limits, "jane").message).toMatch(/newExchangesPerUserPerSecond/);
    expect(limits.exchanges).toBe(0);
  });
});

describe("the limit of a cluster", () => {
  it("is for all users together, and no other cluster's", () => {
    const limits = limitsWith({ exchangesPerCluster: 2 });
    const leave = limits.take("jane", "prod");
    limits.take("joe", "prod");
    const refused = refusalOf(limits, "jill");
    expect(refused).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, hop: Hop.RELAY, retryAfterSeconds: 1 });
    expect(refused.message).toMatch(/2 requests to the cluster prod.*limits\.exchangesPerCluster\); try again/);
    limits.take("jill", "test");
    leave();
    limits.take("jill", "prod");
  });
});

describe("the limit of the relay", () => {
  it("is for all users and clusters together", () => {
    const limits = limitsWith({ exchangesPerRelay: 2 });
    const leave = limits.take("jane", "a");
    limits.take("joe", "b");
    const refused = refusalOf(limits, "jill", "c");
    expect(refused).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED, hop: Hop.RELAY, retryAfterSeconds: 1 });
    expect(refused.message).toMatch(/2 requests are under way.*limits\.exchangesPerRelay\); try again/);
    leave();
    limits.take("jill", "c");
  });
});

describe("what is asked about an exchange that is under way", () => {
  it("takes no place: it may be asked where all are taken", () => {
    const limits = limitsWith({ exchangesPerUser: 1, exchangesPerCluster: 1, exchangesPerRelay: 1 });
    limits.take("jane", "prod");
    limits.takeTurn("jane", "prod");
    expect(limits.exchanges).toBe(1);
  });

  it("counts among what the user begins, and is refused and told as that is", () => {
    const limits = limitsWith({ newExchangesPerUserPerSecond: 1, newExchangesPerUserBurst: 3 });
    limits.take("jane", "prod");
    limits.takeTurn("jane", "prod");
    limits.takeTurn("jane", "prod");
    const refused = { code: ErrorCode.LIMIT_EXCEEDED, retryAfterSeconds: 1 };
    expect(() => limits.takeTurn("jane", "prod")).toThrow(expect.objectContaining(refused));
    expect(refusalOf(limits, "jane").message).toMatch(/newExchangesPerUserPerSecond/);
    expect(told).toEqual([{ user: "jane", cluster: "prod", limit: "newExchangesPerUserPerSecond" }]);
    limits.takeTurn("joe", "prod");
    nowMs += 1_000;
    limits.takeTurn("jane", "prod");
  });
});

it("of several limits that are reached, the caller's own is told: about that one they can do most", () => {
  const limits = limitsWith({ exchangesPerUser: 1, exchangesPerCluster: 1, exchangesPerRelay: 1 });
  limits.take("jane", "prod");
  expect(refusalOf(limits, "jane").message).toMatch(/exchangesPerUser/);
  expect(refusalOf(limits, "joe").message).toMatch(/exchangesPerCluster/);
  expect(refusalOf(limits, "joe", "test").message).toMatch(/exchangesPerRelay/);
});

it("a place is given back once, however often that is said", () => {
  const limits = limitsWith({ exchangesPerUser: 2 });
  const [first] = take(limits, 2, "jane");
  for (let i = 0; i < 3; i++) first?.();
  expect(limits.exchanges).toBe(1);
  limits.take("jane", "prod");
  refusalOf(limits, "jane");
});

describe("with the defaults", () => {
  it("a cold kubectl's 300 requests and 100 watches of one user pass at once", () => {
    const limits = limitsWith();
    take(limits, 100, "jane");
    take(limits, 300, "jane");
    expect(limits.exchanges).toBe(400);
  });

  it("one user leaves three quarters of a cluster and more of the relay to others", () => {
    const limits = limitsWith();
    take(limits, 500, "jane");
    refusalOf(limits, "jane");
    for (const other of ["joe", "jill", "jim"]) take(limits, 500, other);
    expect(limits.exchanges).toBe(2_000);
    expect(refusalOf(limits, "jay").message).toMatch(/exchangesPerCluster/);
    take(limits, 500, "jay", "test");
  });

  it("30 kubectl runs of one user a second, of 6 requests each, pass for an hour", () => {
    const limits = limitsWith();
    for (let second = 0; second < 3_600; second++, nowMs += 1_000) {
      for (const leave of take(limits, 180, "jane")) leave();
    }
  });
});

describe("what is remembered", () => {
  it("is nothing of users that are idle with a full bucket", () => {
    const limits = limitsWith();
    for (let i = 0; i < 10_000; i++) limits.take(`user-${i}`, `cluster-${i}`)();
    expect(limits.activeUsers).toBe(10_000);
    nowMs += 10_000;
    limits.take("jane", "prod");
    expect(limits.activeUsers).toBe(1);
  });

  it("is who has an exchange, for as long as it lasts", () => {
    const limits = limitsWith({ exchangesPerUser: 1 });
    const leave = limits.take("jane", "prod");
    nowMs += 86_400_000;
    limits.take("joe", "prod")();
    expect(limits.activeUsers).toBe(2);
    refusalOf(limits, "jane");
    leave();
    expect(limits.exchanges).toBe(0);
    nowMs += 86_400_000;
    limits.take("joe", "prod");
    expect(limits.activeUsers).toBe(1);
  });

  it("is whose bucket is not full: waiting to be forgotten gains no burst", () => {
    const limits = limitsWith({ newExchangesPerUserPerSecond: 1, newExchangesPerUserBurst: 100 });
    for (const leave of take(limits, 100, "jane")) leave();
    nowMs += 10_000;
    for (const leave of take(limits, 10, "jane")) leave();
    refusalOf(limits, "jane");
  });
});

describe("refusals", () => {
  it("are counted by limit, each limit from the start", () => {
    const limits = limitsWith({ exchangesPerUser: 1, exchangesPerRelay: 2 });
    expect(limits.refusals).toEqual(Object.fromEntries(LIMIT_NAMES.map((name) => [name, 0])));
    limits.take("jane", "a");
    for (let i = 0; i < 3; i++) refusalOf(limits, "jane");
    limits.take("joe", "b");
    refusalOf(limits, "jill", "c");
    expect(limits.refusals).toMatchObject({ exchangesPerUser: 3, exchangesPerRelay: 1, exchangesPerCluster: 0 });
  });

  it("are told once a minute for each user and limit", () => {
    const limits = limitsWith({ exchangesPerUser: 1, exchangesPerCluster: 1 });
    limits.take("jane", "prod");
    for (let i = 0; i < 6_000; i++, nowMs += 10) {
      refusalOf(limits, "jane");
      refusalOf(limits, "joe");
    }
    const [janes, joes] = [
      { user: "jane", cluster: "prod", limit: "exchangesPerUser" },
      { user: "joe", cluster: "prod", limit: "exchangesPerCluster" },
    ];
    expect(told).toEqual([janes, joes]);
    refusalOf(limits, "jane");
    refusalOf(limits, "joe");
    expect(told).toEqual([janes, joes, janes, joes]);
  });

  it("of somebody who has nothing under way are remembered for that minute, and no longer", () => {
    const limits = limitsWith({ exchangesPerCluster: 1 });
    limits.take("jane", "prod");
    for (let second = 0; second < 60; second += 20, nowMs += 20_000) refusalOf(limits, "joe");
    expect(told).toHaveLength(1);
    expect(limits.activeUsers).toBe(2);
    limits.take("jane", "test");
    expect(limits.activeUsers).toBe(1);
  });
});
