import { create } from "@bufbuild/protobuf";
import { RequestHeadSchema, ResponseHeadSchema } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { Heartbeats } from "./heartbeats.ts";
import { seeded } from "./wire-fixture.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const EXEC = "/api/v1/namespaces/n/pods/p/exec?command=ls";
const NONE = Buffer.alloc(0);

function heartbeats(upgrade: string, protocol?: string, target = EXEC): Heartbeats | undefined {
  const headers = protocol === undefined ? [] : [{ name: "Sec-Websocket-Protocol", value: Buffer.from(protocol) }];
  const answer = create(ResponseHeadSchema, { status: 101, upgrade, headers });
  return Heartbeats.for(create(RequestHeadSchema, { target }), answer);
}

/** A SPDY frame: its first four bytes, flags, payload. */
function spdy(start: number, payload: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(start);
  head.writeUIntBE(payload.length, 5, 3);
  head[4] = flags;
  return Buffer.concat([head, payload]);
}

/** A WebSocket's frame, with a mask where it is a client's. */
function webSocket(first: number, payload: Uint8Array, mask?: readonly number[]): Buffer {
  const { length } = payload;
  const lengths = length < 126 ? [length] : length < 65_536 ? [126, length >> 8, length & 0xff] : [127, 0, 0, 0, 0];
  if (length >= 65_536) lengths.push(...[24, 16, 8, 0].map((bits) => (length >> bits) & 0xff));
  if (mask) lengths[0] = (lengths[0] ?? 0) | 0x80;
  const masked = payload.map((byte, at) => byte ^ (mask?.[at % 4] ?? 0));
  return Buffer.concat([Buffer.from([first, ...lengths, ...(mask ?? [])]), masked]);
}

const MASK = [1, 2, 3, 250];
const SPDY = {
  start: () => heartbeats("SPDY/3.1") as Heartbeats,
  ping: spdy(0x80030006, Buffer.from([0, 0, 0, 7])),
  answer: spdy(0x80030006, Buffer.from([0, 0, 0, 7])),
  clients: [
    spdy(0x80030001, Buffer.alloc(50, 2)), // SYN_STREAM
    spdy(5, Buffer.from("input"), 1),
    spdy(5, NONE, 1),
    spdy(0x80030006, Buffer.from([0, 0, 0, 2])), // the answer to a ping of the cluster's
    spdy(0x80030006, Buffer.from([0, 0, 0, 7, 7])), // too long for a ping
    spdy(0x80020006, Buffer.from([0, 0, 0, 7])), // of another version
    spdy(0x80030006, Buffer.from([0, 0, 0, 7]), 1), // with a flag, which none has
    spdy(0x80030003, Buffer.alloc(8, 1)), // RST_STREAM
    spdy(7, Buffer.alloc(70_000, 9)),
    spdy(9, spdy(0x80030006, Buffer.from([0, 0, 0, 7]))), // what looks like a ping is somebody's input
  ],
  clusters: [
    spdy(0x80030002, Buffer.alloc(12, 1)),
    spdy(3, Buffer.alloc(32_768, 5)),
    spdy(3, NONE),
    spdy(1, Buffer.of(1)),
  ],
};
const WEBSOCKET = {
  start: () => heartbeats("websocket", "v5.channel.k8s.io") as Heartbeats,
  ping: webSocket(0x89, Buffer.from("how are you?"), MASK),
  answer: webSocket(0x8a, Buffer.from("how are you?")),
  clients: [
    webSocket(0x82, Buffer.from("\0input"), MASK),
    webSocket(0x82, NONE, MASK),
    webSocket(0x8a, NONE, MASK), // a pong
    webSocket(0x09, Buffer.from("not final"), MASK),
    webSocket(0x89, Buffer.alloc(126), MASK), // longer than a ping may be
    webSocket(0x89, Buffer.from("no mask")),
    webSocket(0x88, Buffer.from([3, 232]), MASK),
    webSocket(0x82, Buffer.alloc(70_000, 9), MASK),
    webSocket(0x82, webSocket(0x89, NONE, MASK), MASK),
  ],
  clusters: [webSocket(0x82, Buffer.alloc(32_768, 1)), webSocket(0x02, Buffer.alloc(300, 1)), webSocket(0x80, NONE)],
};

describe.each([
  ["SPDY", SPDY],
  ["WebSocket", WEBSOCKET],
])("a client's ping by %s", (_name, { start, ping, answer, clients, clusters }) => {
  const [short = NONE] = clusters.toSorted((a, b) => a.length - b.length);
  const [long = NONE] = clusters.toSorted((a, b) => b.length - a.length);

  it("is answered while the cluster speaks, and does not reach it", () => {
    const beats = start();
    expect(beats.fromCluster(long)).toEqual(long);
    expect(beats.fromClient(ping, true)).toEqual(NONE);
    expect(beats.takeDue()).toEqual(answer);
    expect(beats.takeDue()).toBeUndefined();
  });

  it("reaches a cluster that has been silent for 3 s, whose own answer counts", () => {
    const beats = start();
    beats.fromCluster(long);
    jest.advanceTimersByTime(2_999);
    expect(beats.fromClient(ping, true)).toEqual(NONE);
    beats.takeDue();
    jest.advanceTimersByTime(1);
    expect(beats.fromClient(ping, true)).toEqual(ping);
    expect(beats.takeDue()).toBeUndefined();
    expect(beats.fromCluster(answer)).toEqual(answer);
  });

  it("does not reach a cluster that is not read, however long", () => {
    const beats = start();
    jest.advanceTimersByTime(3_600_000);
    expect(beats.fromClient(ping, false)).toEqual(NONE);
    expect(beats.takeDue()).toEqual(answer);
  });

  it("does not reach the cluster after the process stood still: what it said in the meantime may wait unread", () => {
    const beats = start();
    beats.fromCluster(long);
    jest.setSystemTime(Date.now() + 3_600_000);
    jest.advanceTimersToNextTimer(); // however long, timers are called once
    expect(beats.fromClient(ping, true)).toEqual(NONE);
  });

  it("that came in the middle of a frame is answered before the next", () => {
    for (let cut = 1; cut < short.length + 20; cut++) {
      const beats = start();
      const first = beats.fromCluster(Buffer.concat([short, long.subarray(0, cut)]));
      beats.fromClient(ping, true);
      const due = beats.takeDue() ?? NONE;
      const rest = Buffer.concat([due, beats.fromCluster(long.subarray(cut)), beats.fromCluster(short)]);
      const isWithin = first.length > short.length;
      expect(due).toEqual(isWithin ? NONE : answer);
      const whole = isWithin ? [short, long, answer, short] : [short, answer, long, short];
      expect(Buffer.concat([first, rest]).equals(Buffer.concat(whole))).toBe(true);
    }
  });

  it("is not looked for in frames without end that say nothing, and little is kept of them", () => {
    const beats = start();
    beats.fromClient(ping.subarray(0, 1), true);
    for (let i = 0; i < 1_000_000; i++) beats.fromClient(NONE, true);
    expect(beats.fromClient(ping.subarray(1), true)).toEqual(NONE);
    expect(beats.takeDue()).toEqual(answer);
  });

  it("leaves no timer behind", () => {
    const beats = start();
    beats.stop();
    expect(jest.getTimerCount()).toBe(0);
  });

  it("is answered though no read of the cluster's ends with a frame", () => {
    const beats = start();
    beats.fromCluster(long.subarray(0, 1_000));
    beats.fromClient(ping, true);
    expect(beats.takeDue()).toBeUndefined();
    const next = Buffer.concat([long.subarray(1_000), long.subarray(0, 1_000)]);
    expect(beats.fromCluster(next)).toEqual(Buffer.concat([long.subarray(1_000), answer, long.subarray(0, 1_000)]));
  });

  it("is the only thing that is kept from the cluster, however it came cut", () => {
    const stream = Buffer.concat(clients.flatMap((frame) => [frame, ping]));
    const random = seeded(5);
    for (let run = 0; run < 40; run++) {
      const beats = start();
      const passed: Buffer[] = [];
      for (let at = 0; at < stream.length; ) {
        const piece = stream.subarray(at, at + 1 + random(run % 2 === 0 ? 40 : 30_000));
        passed.push(beats.fromClient(piece, false));
        at += piece.length;
      }
      passed.push(beats.clientEnded());
      expect(Buffer.concat(passed).equals(Buffer.concat(clients))).toBe(true);
      expect(beats.takeDue()).toEqual(answer);
    }
  });

  it("adds nothing but whole answers between the cluster's frames, however they came cut", () => {
    const random = seeded(7);
    const stream = Buffer.concat(Array.from({ length: 10 }, () => clusters).flat());
    let answers = 0;
    for (let run = 0; run < 40; run++) {
      const beats = start();
      const passed: Buffer[] = [];
      const take = (bytes: Buffer | undefined): void => void passed.push(bytes ?? NONE);
      for (let at = 0; at < stream.length; ) {
        if (random(3) === 0) beats.fromClient(ping, true);
        if (random(2) === 0) take(beats.takeDue());
        const piece = stream.subarray(at, at + 1 + random(run % 2 === 0 ? 4_000 : 100_000));
        take(beats.fromCluster(piece));
        at += piece.length;
      }
      take(beats.takeDue());
      take(beats.clusterEnded());
      let left = Buffer.concat(passed);
      const got: Buffer[] = [];
      const kinds = [answer, ...clusters];
      while (left.length > 0) {
        const frame = kinds.find((kind) => left.subarray(0, kind.length).equals(kind));
        if (frame === undefined) throw new Error(`no frame starts with ${left.subarray(0, 20).toString("hex")}`);
        if (frame === answer) answers += 1;
        else got.push(frame);
        left = left.subarray(frame.length);
      }
      expect(Buffer.concat(got).equals(stream)).toBe(true);
    }
    expect(answers).toBeGreaterThan(40);
  });

  it("sent without end leaves one answer to a client that does not read", () => {
    const beats = start();
    for (let i = 0; i < 10_000; i++) expect(beats.fromClient(ping, false)).toHaveLength(0);
    expect(beats.takeDue()).toEqual(answer);
    expect(beats.takeDue()).toBeUndefined();
  });

  it("that was begun goes on when the client ends, and so does a frame when the cluster ends", () => {
    const beats = start();
    expect(beats.fromClient(ping.subarray(0, 5), true)).toHaveLength(0);
    expect(beats.clientEnded()).toEqual(ping.subarray(0, 5));
    expect(beats.clientEnded()).toHaveLength(0);
    const held = Buffer.concat([beats.fromCluster(long.subarray(0, 1)), beats.clusterEnded()]);
    expect(held).toEqual(long.subarray(0, 1));
  });
});

it.each([
  ["a port-forward", heartbeats("SPDY/3.1", undefined, "/api/v1/namespaces/n/pods/p/portforward")],
  [
    "a program's own WebSocket behind a Service",
    heartbeats("websocket", "chat", "/api/v1/namespaces/n/services/s/proxy/"),
  ],
  ["a WebSocket without a subprotocol", heartbeats("websocket")],
])("pings of %s are left alone", (_what, beats) => {
  expect(beats).toBeUndefined();
});
