import type { Http2Session } from "node:http2";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { ReceiveWindows } from "./receive-windows.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** What a connection was told. Its peer answers a ping after a given time. */
class FakeSession {
  destroyed = false;
  encrypted = true;
  roundTripMs = 50;
  readonly lanes: number[] = [];
  readonly own: number[] = [];
  #onClose: () => void = () => {};

  settings({ initialWindowSize }: { initialWindowSize: number }): void {
    this.lanes.push(initialWindowSize);
  }
  setLocalWindowSize(bytes: number): void {
    this.own.push(bytes);
  }
  ping(answered: (error: Error | null, roundTripMs: number) => void): boolean {
    answered(null, this.roundTripMs);
    return true;
  }
  once(_event: "close", listener: () => void): void {
    this.#onClose = listener;
  }
  close(): void {
    this.#onClose();
  }
}

let windows: ReceiveWindows;
let session: FakeSession;
let nowMs: number;

beforeEach(() => {
  nowMs = 1_000;
  jest.spyOn(performance, "now").mockImplementation(() => nowMs);
  windows = new ReceiveWindows();
  session = connected(50);
});
afterEach(() => {
  jest.restoreAllMocks();
});

type Session = Parameters<ReceiveWindows["add"]>[0];

function connected(roundTripMs: number): FakeSession {
  const made = new FakeSession();
  made.roundTripMs = roundTripMs;
  windows.add(made as unknown as Session);
  return made;
}

/** So many bytes come within a tenth of a second. */
function receive(bytes: number, from = session): void {
  nowMs += 100;
  windows.received(from as unknown as Http2Session, bytes);
}

describe("a connection's windows", () => {
  it("begin at 256 KiB", () => {
    expect([session.own, session.lanes]).toEqual([[256 * KIB], []]);
  });

  it.each([1, 0.5])("double while the sender sends %f of one a round trip, up to 16 MiB", (part) => {
    for (let i = 0; i < 20; i++) receive((session.own.at(-1) ?? 0) * part * 2); // 50 ms: two round trips
    expect(session.own).toEqual([256, 512, 1024, 2048, 4096, 8192, 16_384].map((kib) => kib * KIB));
    expect(session.lanes).toEqual(session.own.slice(1));
  });

  it("double up to 1 MiB without TLS, which is within a machine", () => {
    session.encrypted = false;
    for (let i = 0; i < 20; i++) receive((session.own.at(-1) ?? 0) * 2);
    expect(session.own).toEqual([256, 512, 1024].map((kib) => kib * KIB));
    expect(session.lanes).toEqual(session.own.slice(1));
  });

  it.each([150, 300, 1_000])("double on a way of %i ms, though it is never quiet", (roundTripMs) => {
    const far = connected(roundTripMs);
    for (let i = 0; i < 200; i++) {
      nowMs += roundTripMs / 20; // a twentieth of a window each time: one window a round trip
      windows.received(far as unknown as Http2Session, (far.own.at(-1) ?? 0) / 20);
    }
    expect(far.own.slice(0, 4)).toEqual([256, 512, 1024, 2048].map((kib) => kib * KIB));
  });

  it("stay small on a short way, however fast it is: the queue there is our own", () => {
    const near = connected(0.4);
    for (let i = 0; i < 20; i++) receive(20 * MIB, near); // 200 MB/s
    expect([near.own, near.lanes]).toEqual([[256 * KIB], []]);
  });

  it("go by the shortest round trip: a longer one has waited in queues", () => {
    const near = connected(0.4);
    near.roundTripMs = 80;
    for (let i = 0; i < 20; i++) receive(20 * MIB, near);
    expect(near.own).toEqual([256 * KIB]);
  });

  it("stay while a third of them comes in a round trip", () => {
    for (let i = 0; i < 20; i++) receive((256 * KIB * 2) / 3);
    expect(session.own).toEqual([256 * KIB]);
  });

  it("see that the way has become longer when it was quiet before, and not while bytes come", () => {
    const moved = connected(0.4);
    for (let i = 0; i < 5; i++) receive(2 * MIB, moved);
    moved.roundTripMs = 50;
    for (let i = 0; i < 5; i++) receive(2 * MIB, moved);
    expect(moved.own).toEqual([256 * KIB]);
    nowMs += 1_000;
    for (let i = 0; i < 3; i++) receive(2 * MIB, moved);
    expect(moved.own).toEqual([256, 512, 1024].map((kib) => kib * KIB));
  });

  it("take a slow answer to a ping on a short way for a process that was busy", () => {
    const near = connected(0.4);
    near.roundTripMs = 9;
    nowMs += 1_000;
    for (let i = 0; i < 5; i++) receive(20 * MIB, near);
    expect(near.own).toEqual([256 * KIB]);
  });

  it("change once in 100 ms at most", () => {
    for (let i = 0; i < 50; i++) {
      nowMs += 1;
      windows.received(session as unknown as Http2Session, 10 * MIB);
    }
    expect(session.own).toEqual([256 * KIB]);
  });

  it("are left alone by small traffic", () => {
    for (let i = 0; i < 100; i++) receive((15 * KIB) / 100);
    expect([session.own.length, session.lanes.length]).toEqual([1, 0]);
  });

  it("of a connection that is gone, or that nobody added, are nobody's business", () => {
    session.destroyed = true;
    receive(100 * MIB);
    expect(session.own).toEqual([256 * KIB]);
    expect(() => windows.received(undefined, 1)).not.toThrow();
    expect(() => receive(MIB, new FakeSession())).not.toThrow();
  });
});

describe("the budget of a process", () => {
  function busy(lanes: number): void {
    for (let i = 0; i < lanes; i++) windows.laneBusy();
  }

  it.each([
    [0, 16 * MIB],
    [8, 16 * MIB],
    [9, 8 * MIB],
    [100, 1 * MIB],
    [512, 256 * KIB],
    [513, 128 * KIB],
    [8_192, 16 * KIB],
    [50_000, 16 * KIB],
  ])("with %i busy lanes is %i bytes a lane", (lanes, bytes) => {
    busy(lanes);
    expect(windows.shareBytes).toBe(bytes);
    if (lanes <= 8_192) expect(windows.shareBytes * lanes).toBeLessThanOrEqual(128 * MIB);
  });

  it("is told to a connection when it next sends, and to no other", () => {
    const quiet = connected(50);
    busy(2_000);
    receive(64 * KIB);
    expect([session.lanes, quiet.lanes]).toEqual([[64 * KIB], []]);
    expect(session.own).toEqual([256 * KIB]);
  });

  it("grows again when exchanges end", () => {
    busy(2_000);
    receive(64 * KIB);
    for (let i = 0; i < 1_990; i++) windows.laneIdle();
    expect(windows.busyLanes).toBe(10);
    receive(128 * KIB);
    expect(session.lanes).toEqual([64 * KIB, 256 * KIB]);
  });
});
