import { once } from "node:events";
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { type ClientDuplexStream, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { FairleadError } from "./errors.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { withGrpcPrefix } from "./grpc-framing.ts";
import { GrpcServerStream } from "./grpc-server-stream.ts";
import { CallFixture, StreamRecord, settled } from "./lane-fixture.ts";
import { MAX_MESSAGE_BYTES } from "./limits.ts";

let calls: CallFixture;
beforeAll(async () => {
  calls = await CallFixture.start();
});
afterAll(() => calls.close());

const identity = (bytes: Buffer): Buffer => bytes;

/** A call of a stock grpc-js client, and the server's end of it. */
async function stockCall(): Promise<{
  call: ClientDuplexStream<Buffer, Buffer>;
  server: GrpcServerStream;
  record: StreamRecord;
  messages: Buffer[];
  status: Promise<StatusObject>;
}> {
  const call = calls.stock.makeBidiStreamRequest("/fairlead.test/Call", identity, identity, new Metadata());
  const messages: Buffer[] = [];
  call.on("error", () => {});
  call.on("data", (message: Buffer) => messages.push(message));
  const ended = new Promise<StatusObject>((resolve) => call.on("status", resolve));
  const server = new GrpcServerStream(await calls.acceptStream(), Hop.AGENT);
  return { call, server, record: new StreamRecord(), messages, status: ended };
}

const gone = new FairleadError(ErrorCode.DRAINING, Hop.RELAY, "the relay is stopping");

describe("a gRPC call's server end, with a stock client", () => {
  it("carries messages both ways, byte for byte and in order", async () => {
    const { call, server, record, messages, status: ended } = await stockCall();
    server.start(record);
    const sent = ["", "a", "x".repeat(100_000), "é"].map((text) => Buffer.from(text));
    for (const message of sent) call.write(message);
    for (const message of sent) expect(Buffer.from(await record.messages.take())).toEqual(message);
    for (const message of sent) server.send(message);
    call.end();
    await record.ends.take();
    server.end();
    expect((await ended).code).toBe(status.OK);
    expect(messages).toEqual(sent);
    expect(await record.closes.take()).toBeUndefined();
  });

  it("may go on sending when the client has ended its direction", async () => {
    const { call, server, record, messages, status: ended } = await stockCall();
    server.start(record);
    call.end(); // a half-close
    await record.ends.take();
    for (const text of ["after", "the", "end"]) server.send(Buffer.from(text));
    server.end();
    expect((await ended).code).toBe(status.OK);
    expect(messages.map(String)).toEqual(["after", "the", "end"]);
    expect(await record.closes.take()).toBeUndefined();
  });

  it("sees a client that cancels as CANCELLED", async () => {
    const { call, server, record, status: ended } = await stockCall();
    server.start(record);
    call.write(Buffer.from("a"));
    await record.messages.take();
    call.cancel();
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED, hop: Hop.AGENT });
    expect((await ended).code).toBe(status.CANCELLED);
    expect(server.send(Buffer.from("nobody reads this"))).toBe(true);
    server.end();
    server.reset(gone);
    server.refuse(gone);
    expect(record.closes.size).toBe(0);
  });

  it("that resets is a cancelled call to the client, and tells its owner the reason", async () => {
    const { server, record, status: ended } = await stockCall();
    server.start(record);
    server.reset(gone);
    expect(await record.closes.take()).toBe(gone);
    expect((await ended).code).toBe(status.CANCELLED);
    expect(record.closes.size).toBe(0);
  });

  it.each([
    [ErrorCode.TOKEN_REFUSED, status.UNAUTHENTICATED],
    [ErrorCode.ACCESS_DENIED, status.PERMISSION_DENIED],
    [ErrorCode.LIMIT_EXCEEDED, status.RESOURCE_EXHAUSTED],
    [ErrorCode.PROTOCOL_VIOLATION, status.INTERNAL],
    [ErrorCode.DRAINING, status.UNAVAILABLE],
  ])("that refuses with the code %i ends with the gRPC status %i, after what it had sent", async (code, expected) => {
    const { server, record, messages, status: ended, call } = await stockCall();
    server.start(record);
    server.send(Buffer.from("before"));
    await once(call, "data");
    server.refuse(new FairleadError(code, Hop.RELAY, "the reason"));
    expect(await ended).toMatchObject({ code: expected, details: "the reason" });
    expect(messages.map(String)).toEqual(["before"]);
    expect(await record.closes.take()).toMatchObject({ code, message: "the reason" });
  });

  it.each([
    "percent % and %20, and a + sign",
    'line\nbreak, tab\t and quote "',
    "Umlaut ä, 漢字 and 🚢",
    "a half of a pair \ud83d and the other \udea2 alone",
    " blanks at both ends ",
    "",
  ])("that refuses with the message %j gives it to the client whole", async (message) => {
    const { server, record, status: ended } = await stockCall();
    server.start(record);
    server.refuse(new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, message));
    expect((await ended).details).toBe(message.toWellFormed());
  });

  it("may refuse before it was started", async () => {
    const { server, status: ended } = await stockCall();
    server.refuse(new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, "no such token"));
    expect(await ended).toMatchObject({ code: status.UNAUTHENTICATED, details: "no such token" });
  });

  it("that is started when the client has already cancelled, tells that it is over", async () => {
    for (const cancelled of ["aborted", "close"]) {
      const call = calls.stock.makeBidiStreamRequest("/fairlead.test/Call", identity, identity, new Metadata());
      call.on("error", () => {});
      const http2 = await calls.acceptStream();
      const server = new GrpcServerStream(http2, Hop.AGENT);
      http2.resume();
      const over = new Promise<void>((resolve) => http2.on(cancelled, () => resolve()));
      call.cancel();
      const record = new StreamRecord();
      await over.then(() => server.start(record));
      expect(await record.closes.take()).toMatchObject({ hop: Hop.AGENT });
      server.refuse(gone);
    }
  });

  it("survives a reset right behind an answer, when the client has ended its direction", async () => {
    for (const when of ["message", "ended"] as const) {
      const { call, server, record, status: ended } = await stockCall();
      record[when] = () => {
        for (const text of ["an", "answer"]) server.send(Buffer.from(text));
        server.reset(gone); // node 24 went into an endless loop here
      };
      server.start(record);
      call.write(Buffer.from("a request"));
      call.end();
      expect(await record.closes.take()).toBe(gone);
      await ended;
    }
    const next = await stockCall();
    next.server.start(next.record);
    next.call.end();
    await next.record.ends.take();
    next.server.end();
    expect((await next.status).code).toBe(status.OK);
  });

  it("survives its end and its reset in the same turn", async () => {
    for (let i = 0; i < 20; i++) {
      const { server, record, status: ended, call } = await stockCall();
      server.start(record);
      server.send(Buffer.alloc(i * 10_000));
      if (i % 2 === 0) call.end();
      server.end();
      server.reset(gone);
      expect(await record.closes.take()).toBe(gone);
      await ended;
      server.refuse(gone);
    }
  });
});

describe("a gRPC call's server end, with a client that does not read", () => {
  it("holds little, says when to wait, and delivers all once the client reads", async () => {
    const { call, server, record, messages } = await stockCall();
    server.start(record);
    call.pause();
    const piece = Buffer.alloc(64 * 1024, 1);
    let sent = 0;
    // As its owner is to do it: stop at false, go on at `drained`. The flow ends where the windows are full.
    const fill = (): void => {
      while (server.send(piece)) sent++;
      sent++;
    };
    fill();
    record.drained = fill;
    await settled(() => sent);
    expect(sent * piece.length).toBeLessThan(8 * 1024 * 1024);
    const stalledAt = sent;
    record.drained = () => record.drains.put(true);
    call.resume();
    await record.drains.take();
    server.end();
    await once(call, "end");
    expect(messages.length).toBe(stalledAt);
    expect(messages.every((message) => message.equals(piece))).toBe(true);
  });

  it("stops the client's sends when it does not read itself, and takes all once it does", async () => {
    const { call, server, record } = await stockCall();
    server.start(record);
    server.pause();
    const piece = Buffer.alloc(64 * 1024, 1);
    let sent = 0;
    const fill = (): void => {
      while (call.write(piece)) sent++;
      sent++;
    };
    fill();
    call.on("drain", fill);
    await settled(() => sent);
    expect(sent * piece.length).toBeLessThan(8 * 1024 * 1024);
    expect(record.messages.size).toBeLessThan(3);
    call.off("drain", fill);
    server.resume();
    for (let i = 0; i < sent; i++) expect((await record.messages.take()).length).toBe(piece.length);
    call.cancel();
  });
});

describe("a gRPC call's server end, with a client that breaks gRPC's framing", () => {
  it.each([
    ["a compressed message", [Buffer.from([1, 0, 0, 0, 1, 0])], "a message is compressed"],
    ["a message over the limit", [announced(MAX_MESSAGE_BYTES + 1)], "a message is too large"],
    ["an end within a prefix", [Buffer.from([0, 0])], "the stream ends within a message"],
    ["an end within a message", [announced(3), Buffer.from("ab")], "the stream ends within a message"],
    [
      "garbage behind a message",
      [withGrpcPrefix(Buffer.from("ok")), Buffer.from("GET / HTTP/1.1\r\n\r\n")],
      "compressed",
    ],
  ])("refuses %s, and the other calls of the connection live on", async (_what, pieces, sentence) => {
    const bystander = await rawCall();
    const { stream, record } = await rawCall();
    const trailers = new Promise<IncomingHttpHeaders>((resolve) => stream.on("trailers", resolve));
    for (const piece of pieces) stream.write(piece);
    stream.end();
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION, hop: Hop.AGENT });
    const { "grpc-status": code, "grpc-message": message } = await trailers;
    expect(code).toBe(String(status.INTERNAL));
    expect(decodeURIComponent(String(message))).toContain(sentence);
    bystander.stream.write(withGrpcPrefix(Buffer.from("still here")));
    expect(String(Buffer.from(await bystander.record.messages.take()))).toBe("still here");
  });

  it("gives the messages that came before the fault, and none after it", async () => {
    const { stream, record } = await rawCall();
    const [good, bad] = [withGrpcPrefix(Buffer.from("good")), Buffer.from([1, 0, 0, 0, 0])];
    stream.write(good);
    await record.messages.take();
    stream.write(Buffer.concat([bad, good]));
    await record.closes.take();
    stream.write(good);
    stream.end();
    await once(stream, "close");
    expect(record.messages.size).toBe(0);
  });

  it("takes messages that come one byte in each DATA frame", async () => {
    const { stream, record } = await rawCall();
    for (const byte of Buffer.concat([withGrpcPrefix(Buffer.from("slow")), withGrpcPrefix(Buffer.from("ly"))])) {
      await new Promise((resolve) => stream.write(Buffer.of(byte), resolve));
    }
    expect(String(Buffer.from(await record.messages.take()))).toBe("slow");
    expect(String(Buffer.from(await record.messages.take()))).toBe("ly");
  });

  it("sees a stream that is reset with another code as lost", async () => {
    const { stream, record } = await rawCall();
    stream.on("error", () => {});
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.AGENT });
  });
});

/** A call of a bare http2 client, which can send what no gRPC client would. */
async function rawCall(): Promise<{ stream: ClientHttp2Stream; record: StreamRecord }> {
  const { client, server } = await calls.openRaw();
  const record = new StreamRecord();
  server.start(record);
  return { stream: client, record };
}

function announced(length: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

describe("a message that has begun", () => {
  const REAL = ["nextTick", "setImmediate", "queueMicrotask", "performance", "Date", "hrtime"] as const;
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: [...REAL] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** A call that has brought a message and the beginning of another. */
  async function begun() {
    const { client, server } = await calls.openRaw();
    const record = new StreamRecord();
    server.start(record);
    client.write(Buffer.concat([withGrpcPrefix(Buffer.from("one")), announced(50), Buffer.from("tw")]));
    await record.messages.take();
    return { server, record };
  }

  it("is waited for no longer than 10 s", async () => {
    const { record } = await begun();
    jest.advanceTimersByTime(9_999);
    expect(record.closes.size).toBe(0);
    jest.advanceTimersByTime(1);
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION });
  });

  it("has time for as long as it is we who do not read: an upload to a cluster that stalls", async () => {
    const { server, record } = await begun();
    server.pause();
    jest.advanceTimersByTime(600_000);
    expect(record.closes.size).toBe(0);
    server.resume();
    jest.advanceTimersByTime(10_000);
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION });
  });
});

describe("a connection whose client cancels many calls", () => {
  it("is kept, and the call beside them: by nghttp2's own limit 1,000 resets would end it", async () => {
    const bystander = await calls.openRaw();
    const record = new StreamRecord();
    bystander.server.start(record);
    for (let i = 0; i < 1_500; i++) {
      const { client, server } = await calls.openRaw();
      server.start(new StreamRecord());
      client.close(constants.NGHTTP2_CANCEL);
    }
    bystander.client.write(withGrpcPrefix(Buffer.from("still here")));
    expect(Buffer.from(await record.messages.take()).toString()).toBe("still here");
    expect(record.closes.size).toBe(0);
    bystander.client.close(constants.NGHTTP2_CANCEL);
  });
});
