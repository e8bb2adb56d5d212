import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import type { KeptLogin } from "./login-store.ts";
import { MemoryPlace } from "./memory-place.ts";
import { RenewedToken } from "./renewed-token.ts";

const RELAY = "https://relay.example.com";
const BY = "openid at https://login.example.com";
const HOUR_MS = 3_600_000;
const START_MS = 1_800_000_000_000;

let place: MemoryPlace;
let renewals: (KeptLogin | undefined)[];
let fault: Error | undefined;

beforeEach(() => {
  jest.useFakeTimers({ now: START_MS, doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] });
  [place, renewals, fault] = [new MemoryPlace(), [], undefined];
});
afterEach(() => {
  jest.useRealTimers();
});

const login = (token: string, lifeMs = HOUR_MS): KeptLogin => ({
  ...{ relay: RELAY, by: BY, token, refreshToken: `refresh ${token}` },
  ...{ obtainedAtMs: Date.now(), expiresAtMs: Date.now() + lifeMs },
});

function source(relay = RELAY): RenewedToken {
  return new RenewedToken(relay, BY, place, async (before) => {
    renewals.push(before);
    await new Promise((resolve) => setImmediate(resolve));
    if (fault) throw fault;
    return login(`token ${renewals.length}`);
  });
}

describe("a token that is renewed", () => {
  it("is the kept one for two thirds of its life", async () => {
    await place.write(login("kept"));
    const token = source();
    expect(await token.get()).toBe("kept");
    jest.advanceTimersByTime(HOUR_MS * 0.66);
    expect(await token.get()).toBe("kept");
    expect(renewals).toEqual([]);
  });

  it("is another after two thirds of it, which is kept", async () => {
    await place.write(login("kept"));
    jest.advanceTimersByTime(HOUR_MS * 0.67);
    expect(await source().get()).toBe("token 1");
    expect(renewals[0]?.refreshToken).toBe("refresh kept");
    expect((await place.read())?.token).toBe("token 1");
  });

  it("is renewed once, however many ask at the same moment", async () => {
    const token = source();
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => token.get())))).toEqual(new Set(["token 1"]));
    expect(renewals).toHaveLength(1);
  });

  it("is renewed once by all who share the place, one after the other", async () => {
    let queue: Promise<unknown> = Promise.resolve();
    place.exclusively = (work) => {
      const mine = queue.then(work);
      queue = mine.catch(() => {});
      return mine;
    };
    const all = Array.from({ length: 20 }, () => source().get());
    expect(new Set(await Promise.all(all))).toEqual(new Set(["token 1"]));
    expect(renewals).toHaveLength(1);
  });

  it("is what another process put there, at once", async () => {
    await place.write(login("kept"));
    const token = source();
    await token.get();
    await place.write(login("of another"));
    expect(await token.get()).toBe("of another");
  });

  it("is the kept one while it counts, if it cannot be renewed, and that is tried again 10 s later", async () => {
    await place.write(login("kept"));
    jest.advanceTimersByTime(HOUR_MS * 0.7);
    fault = new FairleadError(ErrorCode.UNREACHABLE, Hop.CLIENT_PROXY, "no network");
    const token = source();
    for (let i = 0; i < 5; i++) expect(await token.get()).toBe("kept");
    expect(renewals).toHaveLength(1);
    jest.advanceTimersByTime(10_001);
    fault = undefined;
    expect(await token.get()).toBe("token 2");
  });

  it("is none when it has expired and cannot be renewed: the fault is told", async () => {
    await place.write(login("kept"));
    jest.advanceTimersByTime(HOUR_MS - 4_000);
    fault = new FairleadError(ErrorCode.UNREACHABLE, Hop.CLIENT_PROXY, "no network");
    await expect(source().get()).rejects.toBe(fault);
  });

  it("is renewed after the clock was set back by more than a little", async () => {
    await place.write(login("kept"));
    jest.setSystemTime(START_MS - HOUR_MS);
    expect(await source().get()).toBe("token 1");
  });

  it("is not renewed in another way than it was got: a refresh token goes to no other issuer", async () => {
    await place.write({ ...login("kept"), by: "openid at https://other.example.com" });
    await expect(source().get()).rejects.toThrow(/was got in another way than this command knows/);
    expect(renewals).toEqual([]);
  });

  it("is the new one also where it cannot be kept: what it was renewed with is spent", async () => {
    await place.write(login("kept"));
    jest.advanceTimersByTime(HOUR_MS * 0.7);
    place.write = () => Promise.reject(new Error("no space"));
    const token = source();
    expect([await token.get(), await token.get()]).toEqual(["token 1", "token 1"]);
    expect(renewals).toHaveLength(1);
  });

  it("is the one that still counts where others hold the lock for too long", async () => {
    await place.write(login("kept"));
    jest.advanceTimersByTime(HOUR_MS * 0.7);
    place.exclusively = () => Promise.reject(new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, "locked"));
    expect(await source().get()).toBe("kept");
  });

  it("is sent to no other relay than the one that it is for", async () => {
    await place.write(login("kept"));
    await expect(source("https://evil.example").get()).rejects.toMatchObject({
      code: ErrorCode.TOKEN_REFUSED,
      message: expect.stringMatching(
        /your login is for https:\/\/relay\.example\.com, and does not count for https:\/\/evil/,
      ),
    });
    expect(renewals).toEqual([]);
  });
});
