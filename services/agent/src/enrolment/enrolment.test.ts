import { ErrorCode, Hop } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { decodeProtectedHeader } from "jose";
import { Enrolment } from "./enrolment.ts";
import { EnrolmentFixture, SharedState } from "./enrolment-fixture.ts";
import type { JoinCredential } from "./join-credential.ts";
import { StateChanged } from "./state-store.ts";

let relay: EnrolmentFixture;
let store: SharedState;
let joinToken: string | undefined;
let joinedBy: JoinCredential["case"];
let logged: string[];

beforeEach(async () => {
  relay = await EnrolmentFixture.start();
  store = new SharedState();
  joinToken = "flj_canary";
  joinedBy = "joinToken";
  logged = [];
});

afterEach(() => relay.stop());

/** A replica, or the same one after it was started anew. */
function replica(): Enrolment {
  const write = (...args: unknown[]) => void logged.push(JSON.stringify(args));
  const log = { info: write, warn: write } as unknown as Logger;
  return new Enrolment({ relay: relay.address, store, credential, clusterUid: "uid-1", log });
}

const credential = (): JoinCredential | undefined =>
  joinToken === undefined ? undefined : { case: joinedBy, value: joinToken };

/** The certificate that a proof names. */
const certificateIn = (proof: string) => decodeProtectedHeader(proof).x5c?.[0];

describe("an agent without a certificate", () => {
  it("joins by its join token, says where it is, and keeps what it got", async () => {
    const agent = replica();
    await agent.prove();
    expect(relay.joins).toMatchObject([
      { credential: { case: "joinToken", value: "flj_canary" }, clusterUid: "uid-1" },
    ]);
    expect(Object.keys(store.state).sort()).toEqual(["certificate", "key"]);
    expect(agent.identity?.cluster).toBe("prod");
  });

  it("joins once: later proofs, and those after a new start, are by what it kept", async () => {
    const first = certificateIn(await replica().prove());
    const agent = replica();
    expect([certificateIn(await agent.prove()), certificateIn(await agent.prove())]).toEqual([first, first]);
    expect(relay.joins).toHaveLength(1);
  });

  it("asks for the same key again when the answer was lost, also after a new start", async () => {
    relay.beforeAnswer = () => relay.cut();
    await expect(replica().prove()).rejects.toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.RELAY });
    relay.beforeAnswer = () => {};
    await replica().prove();
    const [lost, again] = relay.joins.map(({ certificateRequest }) => publicKeyOf(certificateRequest));
    expect(again).toEqual(lost);
  });

  it("says what to do when it has no join token", async () => {
    joinToken = undefined;
    await expect(replica().prove()).rejects.toMatchObject({
      code: ErrorCode.TOKEN_REFUSED,
      hop: Hop.AGENT,
      message: expect.stringMatching(/no certificate.*`fairlead clusters join-token CLUSTER`/),
    });
  });

  it("tells what the relay says of a join token, tries it once only, and a newer one at once", async () => {
    relay.refusal = EnrolmentFixture.refused("the join token does not count");
    const agent = replica();
    await expect(agent.prove()).rejects.toThrow("the join token does not count");
    relay.refusal = undefined;
    await expect(agent.prove()).rejects.toThrow(/no join token that it could get one by/);
    joinToken = "flj_newer";
    await agent.prove();
    expect(relay.joins).toHaveLength(1);
  });

  it("tries a join token again that the relay had no answer to", async () => {
    const agent = replica();
    relay.beforeAnswer = () => relay.cut();
    await expect(agent.prove()).rejects.toMatchObject({ code: ErrorCode.CONNECTION_LOST });
    relay.beforeAnswer = () => {};
    await agent.prove();
  });
});

describe("an agent that renews", () => {
  it("proves the key before, and has another key then", async () => {
    const agent = replica();
    const before = certificateIn(await agent.prove());
    const { key } = store.state;
    await agent.renew();
    expect(relay.renewals).toHaveLength(1);
    expect(certificateIn(relay.renewals[0]?.replace("Bearer ", "") ?? "")).toBe(before);
    expect(certificateIn(await agent.prove())).not.toBe(before);
    expect(store.state.key).not.toBe(key);
    expect(store.state.nextKey).toBeUndefined();
  });

  it("goes on by the certificate before when the relay refuses or is away", async () => {
    const agent = replica();
    const before = certificateIn(await agent.prove());
    relay.refusal = EnrolmentFixture.refused("no");
    await expect(agent.renew()).rejects.toThrow("no");
    expect(certificateIn(await agent.prove())).toBe(before);
  });

  it("asks for the same key again when the answer was lost, also after a new start", async () => {
    const agent = replica();
    await agent.prove();
    relay.beforeAnswer = () => relay.cut();
    await expect(agent.renew()).rejects.toMatchObject({ code: ErrorCode.CONNECTION_LOST });
    const { nextKey } = store.state;
    expect(nextKey).toBeDefined();
    relay.beforeAnswer = () => {};
    const again = replica();
    await again.prove();
    await again.renew();
    expect(store.state.key).toBe(nextKey);
  });

  it("does not use a certificate that it could not keep: it would be lost with the process", async () => {
    const agent = replica();
    const before = certificateIn(await agent.prove());
    store.failing = (state) => {
      if (state.nextKey === undefined) throw new Error("the apiserver is away");
    };
    await expect(agent.renew()).rejects.toThrow("the apiserver is away");
    expect(certificateIn(await agent.prove())).toBe(before);
    const { nextKey } = store.state;
    store.failing = () => {};
    await agent.renew();
    expect(store.state.key).toBe(nextKey);
  });

  it("has nothing to renew before it has joined", async () => {
    await replica().renew();
    expect(relay.renewals).toEqual([]);
  });
});

describe("replicas of one agent", () => {
  it("take over the certificate that one of them has got", async () => {
    const [one, other] = [replica(), replica()];
    await one.prove();
    await other.prove();
    await one.renew();
    await other.renew();
    expect(relay.renewals).toHaveLength(1);
    expect(certificateIn(await other.prove())).toBe(certificateIn(await one.prove()));
  });

  it("that renew at the same instant ask for one key, and the second finds the first's", async () => {
    const [one, other] = [replica(), replica()];
    await one.prove();
    await other.prove();
    const outcomes = await Promise.allSettled([one.renew(), other.renew()]);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(StateChanged);
    await Promise.all([one.renew(), other.renew()]).catch(() => {});
    await one.renew();
    expect(store.state.nextKey).toBeUndefined();
  });

  it("that are refused look for what another has kept", async () => {
    const [one, other] = [replica(), replica()];
    await one.prove();
    await other.prove();
    await one.renew();
    other.refused();
    expect(certificateIn(await other.prove())).toBe(certificateIn(await one.prove()));
    expect(relay.joins).toHaveLength(1);
  });
});

describe("an agent that is refused", () => {
  it("joins anew by a join token that it has not tried", async () => {
    const agent = replica();
    const before = certificateIn(await agent.prove());
    joinToken = "flj_newer";
    agent.refused();
    expect(certificateIn(await agent.prove())).not.toBe(before);
    expect(relay.joins.map(({ credential }) => credential.value)).toEqual(["flj_canary", "flj_newer"]);
  });

  it("goes on with what it has when there is none: it is for the relay to say", async () => {
    const agent = replica();
    const before = certificateIn(await agent.prove());
    joinToken = undefined;
    agent.refused();
    expect(certificateIn(await agent.prove())).toBe(before);
  });
});

describe("an agent whose certificate has expired", () => {
  it("joins anew by a new join token", async () => {
    relay.lifetimeMs = -1_000;
    const agent = replica();
    await agent.prove();
    relay.lifetimeMs = 3_600_000;
    joinToken = "flj_newer";
    await agent.prove();
    expect(relay.joins).toHaveLength(2);
    expect(agent.identity?.expiresAtMs).toBeGreaterThan(Date.now());
  });

  it("tries it all the same without one: the clock here may be wrong", async () => {
    relay.lifetimeMs = -1_000;
    const agent = replica();
    const before = certificateIn(await agent.prove());
    joinToken = undefined;
    expect(certificateIn(await agent.prove())).toBe(before);
  });
});

describe("an agent that joins by its service account's token", () => {
  const halfAMinuteGoesBy = () => {
    const later = Date.now() + 30_000;
    jest.spyOn(Date, "now").mockReturnValue(later);
  };
  afterEach(() => void jest.restoreAllMocks());

  beforeEach(() => {
    joinedBy = "serviceAccountToken";
    joinToken = "canary.one.1";
  });

  it("sends it, and goes on by its certificate then, whatever token there is", async () => {
    const agent = replica();
    const first = certificateIn(await agent.prove());
    joinToken = "canary.one.2";
    expect(certificateIn(await agent.prove())).toBe(first);
    expect(relay.joins).toMatchObject([
      { credential: { case: "serviceAccountToken", value: "canary.one.1" }, clusterUid: "uid-1" },
    ]);
  });

  it.each([
    ["its state is lost", 3_600_000, true],
    ["its certificate has expired", -1_000, false],
  ])("joins anew by the same token when %s, with nothing done by anybody", async (_what, lifetimeMs, isLost) => {
    relay.lifetimeMs = lifetimeMs;
    await replica().prove();
    relay.lifetimeMs = 3_600_000;
    if (isLost) store.state = {};
    const agent = replica();
    await agent.prove();
    expect(agent.identity?.expiresAtMs).toBeGreaterThan(Date.now());
    expect(relay.joins.map(({ credential: { value } }) => value)).toEqual(["canary.one.1", "canary.one.1"]);
  });

  it("tells what the relay says of it, and tries the same again: the cluster may be registered by then", async () => {
    relay.refusal = EnrolmentFixture.refused("no cluster is registered here");
    const agent = replica();
    for (let i = 0; i < 3; i++) await expect(agent.prove()).rejects.toThrow("no cluster is registered here");
    relay.refusal = undefined;
    await agent.prove();
    expect(agent.identity?.cluster).toBe("prod");
  });

  it("tries the certificate that it has in turn with it: the relay may take that again", async () => {
    const agent = replica();
    const before = certificateIn(await agent.prove());
    halfAMinuteGoesBy();
    relay.refusal = EnrolmentFixture.refused("the clock");
    for (let i = 0; i < 2; i++) {
      agent.refused();
      await expect(agent.prove()).rejects.toThrow("the clock");
      expect(certificateIn(await agent.prove())).toBe(before);
    }
    relay.refusal = undefined;
    agent.refused();
    expect(certificateIn(await agent.prove())).not.toBe(before);
  });

  it("takes over what another replica has got, without joining", async () => {
    const [one, other] = [replica(), replica()];
    await one.prove();
    await other.prove();
    halfAMinuteGoesBy();
    one.refused();
    const anew = certificateIn(await one.prove());
    other.refused();
    expect(certificateIn(await other.prove())).toBe(anew);
    expect(relay.joins).toHaveLength(2);
  });

  it("leaves another that joined by the same account in its place for half a minute, and not for ever", async () => {
    const agent = replica();
    const before = certificateIn(await agent.prove());
    for (let i = 0; i < 3; i++) {
      agent.refused();
      expect(certificateIn(await agent.prove())).toBe(before);
    }
    expect(relay.joins).toHaveLength(1);
    halfAMinuteGoesBy();
    agent.refused();
    expect(certificateIn(await agent.prove())).not.toBe(before);
  });
});

it("neither a key nor a join token is in the log", async () => {
  const agent = replica();
  await agent.prove();
  await agent.renew();
  expect(logged.length).toBe(2);
  expect(logged.join()).not.toMatch(/canary|PRIVATE KEY/);
});

/** The point of a request's key, in hex: the signature beside it is another each time. */
function publicKeyOf(request: Uint8Array): string {
  const text = Buffer.from(request).toString("hex");
  const at = text.indexOf("03420004"); // BIT STRING of 66 bytes, uncompressed point (SEC 1, 2.3.3)
  return text.slice(at, at + 8 + 128);
}
