import { EventEmitter } from "node:events";
import type { ClientHttp2Session, Http2Stream } from "node:http2";
import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { ReadOn } from "./read-on.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** What is granted while one write waits: the connection's window and 1 MiB. */
const GRANTED = 256 * KIB + MIB;

/** A connection of which a test says what its socket did. */
class FakeConnection {
  readonly session = Object.assign(new EventEmitter(), {
    destroyed: false,
    state: { effectiveLocalWindowSize: 256 * KIB },
  });
  readonly handle = {
    writeQueueSize: 0,
    readStart: () => this.#start(),
    readStop: () => {
      this.reading = false;
    },
  };
  readonly socket = { _handle: this.handle as unknown, bytesWritten: 0, bytesRead: 0 };
  /** What comes each time that it reads, in bytes. */
  comes = 0;
  starts = 0;
  reading = true;
  readonly readOn: ReadOn;

  constructor() {
    const session = this.session as unknown as ClientHttp2Session;
    ReadOn.start(session, this.socket as unknown as Socket);
    this.readOn = ReadOn.of(session) as ReadOn;
  }

  /** The session has written, and the socket has not taken it; so the session has stopped reading. */
  stuck(): void {
    this.socket.bytesWritten += 1_000_000;
    this.handle.writeQueueSize = 500_000;
    this.reading = false;
  }

  #start(): void {
    this.starts++;
    this.reading = true;
    this.socket.bytesRead += this.comes;
  }
}

/** A stream with so much unsent. */
const stream = (writableLength: number) =>
  ({ destroyed: false, writableLength }) as Http2Stream & { destroyed: boolean };

/** So many milliseconds, and the rest of that turn of the event loop. */
async function pass(ms: number): Promise<void> {
  jest.advanceTimersByTime(ms);
  await new Promise((resolve) => setImmediate(resolve));
}

let connection: FakeConnection;
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ["setImmediate", "nextTick", "queueMicrotask"] });
  connection = new FakeConnection();
});
afterEach(() => {
  jest.useRealTimers();
});

describe("a write that waits", () => {
  it("is no reason to read until it has waited for two looks", () => {
    connection.stuck();
    connection.readOn.sent(stream(0));
    jest.advanceTimersByTime(19);
    expect(connection.starts).toBe(0);
    jest.advanceTimersByTime(1);
    expect(connection.starts).toBe(1);
  });

  it("is one after another on a slow way, and none of them is stuck: node reads in between", () => {
    connection.readOn.sent(stream(1));
    for (let i = 0; i < 50; i++) {
      connection.stuck();
      jest.advanceTimersByTime(10);
    }
    expect(connection.starts).toBe(0);
  });

  it.each([
    [0, 10],
    [1, 2],
  ])("has the connection read for a turn at a time; when %i bytes come, every %i ms", async (comes, everyMs) => {
    connection.comes = comes;
    connection.stuck();
    connection.readOn.lookSoon();
    for (let turns = 1; turns <= 5; turns++) {
      await pass([0, 20, 10][turns] ?? everyMs);
      expect([connection.starts, connection.reading]).toEqual([turns, false]);
    }
  });

  it("leaves the reading to node when it is done within that turn", async () => {
    connection.stuck();
    connection.readOn.lookSoon();
    const { readStart } = connection.handle;
    connection.handle.readStart = () => {
      readStart();
      connection.handle.writeQueueSize = 0;
    };
    await pass(20);
    expect([connection.starts, connection.reading]).toEqual([1, true]);
  });

  it("was one of TLS's own, of which the session knows nothing, for all we know: what we stopped, we start", async () => {
    connection.stuck();
    connection.readOn.lookSoon();
    await pass(20);
    connection.handle.writeQueueSize = 0;
    await pass(100);
    expect([connection.starts, connection.reading]).toEqual([2, true]);
  });
});

describe("what is read on", () => {
  it("is the window and 1 MiB for one write", () => {
    connection.comes = 64 * KIB;
    connection.stuck();
    connection.readOn.lookSoon();
    jest.advanceTimersByTime(10_000);
    expect(connection.socket.bytesRead).toBe(GRANTED);
  });

  it("is that again for the next write", () => {
    connection.comes = 64 * KIB;
    for (let writes = 1; writes <= 3; writes++) {
      connection.stuck();
      connection.readOn.lookSoon();
      jest.advanceTimersByTime(1_000);
      expect(connection.socket.bytesRead).toBe(GRANTED * writes);
    }
  });

  it("is no more than all lanes may hold besides, when the peer reads just enough for one write after the other", () => {
    connection.comes = 64 * KIB;
    for (let writes = 0; writes < 500; writes++) {
      connection.stuck();
      connection.readOn.lookSoon();
      jest.advanceTimersByTime(100);
    }
    expect(connection.socket.bytesRead).toBe(128 * MIB + GRANTED);
  });

  it("counts for nothing once streams have got it, or nothing waits", () => {
    connection.comes = 64 * KIB;
    for (let writes = 0; writes < 500; writes++) {
      connection.stuck();
      connection.readOn.received(GRANTED);
      jest.advanceTimersByTime(100);
    }
    expect(connection.socket.bytesRead).toBe(500 * GRANTED);
    connection.comes = 0;
    connection.handle.writeQueueSize = 0;
    jest.advanceTimersByTime(100);
    connection.comes = 64 * KIB;
    connection.stuck();
    connection.readOn.lookSoon();
    jest.advanceTimersByTime(100);
    expect(connection.socket.bytesRead).toBe(501 * GRANTED);
  });
});

describe("looking", () => {
  it("ends when nothing waits and nothing is unsent", () => {
    const unsent = [stream(100), stream(100)];
    for (const each of unsent) connection.readOn.sent(each);
    jest.advanceTimersByTime(1_000);
    expect(jest.getTimerCount()).toBe(1);
    Object.assign(unsent[0] as object, { writableLength: 0 });
    Object.assign(unsent[1] as object, { destroyed: true });
    jest.advanceTimersByTime(1_000);
    expect(jest.getTimerCount()).toBe(0);
  });

  it("becomes seldom while a reader has stopped for long, and quick when something moves", () => {
    connection.readOn.sent(stream(100));
    jest.advanceTimersByTime(60_000);
    connection.stuck();
    connection.readOn.received(1);
    jest.advanceTimersByTime(20);
    expect(connection.starts).toBe(1);
    const looked = jest.fn(() => 0);
    Object.defineProperty(connection.handle, "writeQueueSize", { get: looked });
    jest.advanceTimersByTime(60_000);
    expect(looked.mock.calls.length).toBeLessThan(110);
  });

  it("ends with the connection", () => {
    connection.readOn.sent(stream(100));
    connection.session.destroyed = true;
    connection.session.emit("close");
    connection.readOn.sent(stream(100));
    expect(jest.getTimerCount()).toBe(0);
  });

  it("finds a socket that is gone, and does nothing", () => {
    connection.stuck();
    connection.readOn.lookSoon();
    jest.advanceTimersByTime(10);
    connection.socket._handle = null;
    jest.advanceTimersByTime(100);
    expect([connection.starts, jest.getTimerCount()]).toEqual([0, 0]);
  });

  it("is not done at the server's end, nor without a connection", () => {
    expect([ReadOn.of(undefined), ReadOn.of({} as ClientHttp2Session)]).toEqual([undefined, undefined]);
  });
});
