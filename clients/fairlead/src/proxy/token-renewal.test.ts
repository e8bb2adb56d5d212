import { generateKeyPairSync } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ProofKey, provenCredential } from "@fairlead/authentication";
import {
  type Credential,
  ErrorCode,
  FairleadError,
  GrpcConnection,
  Hop,
  type Lane,
  newExchangeId,
  type RequestHead,
  RequestHeadSchema,
} from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { RelayFixture, type ServedLane } from "../relay-fixture.ts";
import { LanePool } from "./lane-pool.ts";
import { TokenRenewal } from "./token-renewal.ts";

const START_MS = 1_800_000_000_000;
const MINUTES = 60_000;

let relay: RelayFixture;
let pool: LanePool;
/** The caller's token as it is now. */
let current: () => string;
let renewal: TokenRenewal;
/** The credentials that came to the relay, and when, in minutes. */
let seen: { atMinutes: number; credential: Credential }[];
/** What the relay says to a credential. */
let answer: (lane: ServedLane) => void;
let sending = 0;

beforeEach(async () => {
  relay = new RelayFixture();
  await relay.start();
  const real = ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask", "performance"] as const;
  jest.useFakeTimers({ now: START_MS, doNotFake: [...real] });
  pool = new LanePool(relay.url, () => new GrpcConnection(() => ({ host: "127.0.0.1", port: relay.port })));
  [seen, answer, sending] = [[], accept, 0];
  void serve();
  use(() => current());
});

afterEach(async () => {
  renewal.stop();
  pool.close();
  jest.useRealTimers();
  await relay.stop();
});

async function serve(): Promise<void> {
  for (;;) void serveLane(await relay.lanes.take());
}

async function serveLane(lane: ServedLane): Promise<void> {
  for (;;) {
    const frame = await lane.requests.take();
    if (frame.case !== "credential") throw new Error(`a ${frame.case} came`);
    seen.push({ atMinutes: Math.floor((Date.now() - START_MS) / MINUTES), credential: frame.value });
    answer(lane);
  }
}

const accept = (lane: ServedLane): void => lane.answer("", 204);
const refuse =
  (code: ErrorCode) =>
  ({ lane }: ServedLane): void =>
    void lane.sendResponse({ case: "error", value: new FairleadError(code, Hop.RELAY, "no").toMessage() });

function use(source: () => string, key?: ProofKey): void {
  renewal?.stop();
  const take = (gone: () => boolean) => {
    sending++;
    return pool.take(gone).catch((error: unknown) => {
      sending--;
      throw error;
    });
  };
  const release = (lane: Lane): void => {
    sending--;
    pool.release(lane);
  };
  renewal = new TokenRenewal({ take, release }, source, key);
}

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
/** A token that expires so long after the start. */
const token = (minutes: number) =>
  `${encoded({ alg: "ES256" })}.${encoded({ exp: (START_MS + minutes * MINUTES) / 1_000 })}.c2ln`;

function begin(text: string): { head: RequestHead; over: () => void } {
  const head = create(RequestHeadSchema, { exchangeId: newExchangeId(), cluster: "prod" });
  return { head, over: renewal.begin(head, text) };
}

/** Lets time pass, and all that it brings about: no time passes while something is on its way to the relay. */
async function pass(minutes: number): Promise<void> {
  for (const endMs = Date.now() + minutes * MINUTES; Date.now() < endMs; ) {
    jest.advanceTimersByTime(1_000);
    for (let turns = 1; turns < 4 || sending > 0; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (turns % 500 === 0) jest.advanceTimersByTime(100); // a relay that is away is tried again after a time
    }
  }
}

const tokensSeen = () => seen.map(({ credential }) => credential.token);

describe("a request that outlives two thirds of its token", () => {
  it("is carried on by the newer token that is there, and not before", async () => {
    const { head } = begin(token(60));
    current = () => token(120);
    await pass(39);
    expect(seen).toEqual([]);
    await pass(20);
    const [{ credential } = { credential: undefined }, ...more] = seen;
    expect(more).toEqual([]);
    expect(credential).toMatchObject({ cluster: "prod", token: token(120), proof: "" });
    expect(Buffer.from(credential?.exchangeId ?? [])).toEqual(Buffer.from(head.exchangeId));
  });

  it("is carried on a second after a newer token comes, if it comes later", async () => {
    begin(token(60));
    current = () => token(60);
    await pass(55);
    expect(seen).toEqual([]);
    current = () => token(120);
    await pass(1 / 60);
    expect(tokensSeen()).toEqual([token(120)]);
  });

  it("is carried on again and again", async () => {
    begin(token(30));
    for (const minutes of [60, 90, 120]) {
      current = () => token(minutes);
      await pass(28);
    }
    expect(tokensSeen()).toEqual([token(60), token(90), token(120)]);
  });

  it("is carried on although the source could not be read for a while", async () => {
    begin(token(60));
    current = () => {
      throw new Error("no such file");
    };
    await pass(45);
    current = () => "half a tok";
    await pass(1);
    expect(seen).toEqual([]);
    current = () => token(120);
    await pass(1);
    expect(tokensSeen()).toEqual([token(120)]);
  });

  it("is carried on with a proof of the key, for this exchange and token", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    use(() => token(120), await ProofKey.fromPem(pem));
    begin(token(60));
    await pass(41);
    const [{ credential } = { credential: undefined }] = seen;
    if (credential === undefined) throw new Error("no credential came");
    const proof = JSON.parse(Buffer.from(credential.proof.split(".")[1] ?? "", "base64url").toString());
    const { method, target } = provenCredential(credential);
    expect(proof).toMatchObject({ htm: method, htu: `fairlead://prod${target}` });
  });

  it.each([
    ["the same token", () => token(60)],
    ["an older token", () => token(50)],
    ["a token that does not say when it expires", () => token(Number.NaN)],
    ["no token that can be read", () => "none"],
  ])("is left alone when the source has %s", async (_what, source) => {
    begin(token(60));
    current = source;
    await pass(61);
    expect(seen).toEqual([]);
  });

  it("is left alone once it is over", async () => {
    const { over } = begin(token(60));
    current = () => token(120);
    over();
    expect(renewal.count).toBe(0);
    await pass(61);
    expect(seen).toEqual([]);
  });

  it("is left alone if its own token does not say when it expires", () => {
    begin("opaque").over();
    begin(token(Number.NaN)).over();
    begin("opaque");
    expect(renewal.count).toBe(0);
  });
});

describe("several requests", () => {
  it("are carried on one after the other", async () => {
    const begun = [1, 2, 3].map(() => begin(token(60)).head.exchangeId);
    current = () => token(120);
    let atOnce = 0;
    answer = (lane) => {
      atOnce = Math.max(atOnce, sending);
      accept(lane);
    };
    await pass(41);
    expect(seen.map(({ credential }) => Buffer.from(credential.exchangeId))).toEqual(
      begun.map((id) => Buffer.from(id)),
    );
    expect(atOnce).toBe(1);
  });

  it("are each carried on by the end of their own token", async () => {
    begin(token(60));
    begin(token(600));
    current = () => token(1200);
    await pass(390);
    expect(seen.map(({ atMinutes }) => atMinutes)).toEqual([40]);
    await pass(20);
    expect(seen.map(({ atMinutes }) => atMinutes)).toEqual([40, 400]);
  });

  it("do not wait for one that is over by then", async () => {
    begin(token(60));
    const second = begin(token(60));
    current = () => token(120);
    answer = (lane) => {
      second.over();
      accept(lane);
    };
    await pass(45);
    expect(seen).toHaveLength(1);
  });
});

describe("a newer token that is refused", () => {
  it.each([
    ErrorCode.TIMED_OUT,
    ErrorCode.LIMIT_EXCEEDED,
    ErrorCode.ISSUER_UNAVAILABLE,
    ErrorCode.TOKEN_REFUSED,
    ErrorCode.DRAINING,
  ])("with what may pass (%s) is sent again, more often towards the end", async (code) => {
    begin(token(60));
    current = () => token(120);
    answer = refuse(code);
    await pass(59);
    const attempts = seen.map(({ atMinutes }) => atMinutes);
    expect(attempts.slice(0, 3)).toEqual([40, 53, 57]);
    expect(attempts.length).toBeLessThan(10);
  });

  it.each([ErrorCode.ACCESS_DENIED, ErrorCode.PROTOCOL_VIOLATION])(
    "for good (%s) is not sent again, but a newer one is",
    async (code) => {
      begin(token(60));
      current = () => token(120);
      answer = refuse(code);
      await pass(58);
      expect(tokensSeen()).toEqual([token(120)]);
      current = () => token(121);
      await pass(1);
      expect(tokensSeen()).toEqual([token(120), token(121)]);
    },
  );

  it("by a relay that does not know credentials costs the lane, and nothing else", async () => {
    begin(token(60));
    current = () => token(120);
    const unknown = new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.CLIENT_PROXY, "not one known frame");
    answer = ({ lane }) => lane.refuse(unknown);
    await pass(59);
    expect([seen.length, renewal.count]).toEqual([1, 1]);
  });

  it("because the relay is away is sent again when it is back", async () => {
    begin(token(60));
    current = () => token(120);
    await relay.stop();
    await pass(45);
    expect(seen).toEqual([]);
    await relay.start();
    await pass(14);
    expect(tokensSeen()).toEqual([token(120)]);
  });
});
