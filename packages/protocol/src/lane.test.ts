import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { FairleadError } from "./errors.ts";
import { FairleadError as Fault } from "./errors.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { RequestFrameSchema, ResponseFrameSchema } from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import type { GrpcClientStream } from "./grpc-client-stream.ts";
import type { GrpcServerStream } from "./grpc-server-stream.ts";
import { decodeRequest, Lane } from "./lane.ts";
import { CallFixture, LaneRecord, requestMessage, responseMessage, StreamRecord } from "./lane-fixture.ts";
import { MAX_FRAME_DATA_BYTES } from "./limits.ts";

type RequestName = "head" | "data" | "end" | "whole";
type ResponseName = "ready" | "informational" | "head" | "data" | "end" | "whole" | "error";

const REQUESTS: RequestName[] = ["head", "data", "end", "whole"];
const RESPONSES: ResponseName[] = ["ready", "informational", "head", "data", "end", "whole", "error"];

/** Messages that are no frame of either direction. */
const NO_FRAMES: Record<string, Uint8Array> = {
  "an empty message": Buffer.alloc(0),
  "a reserved field": Buffer.from([0x62, 0x00]),
  "an unknown field": Buffer.from([0xfa, 0x07, 0x00]),
  "two frames in one message": Buffer.concat([responseMessage("ready"), responseMessage("ready")]),
  "a frame and a byte more": Buffer.concat([responseMessage("ready"), Buffer.of(0)]),
  "a frame that is cut": Buffer.from([0x0a, 0x05, 0x00]),
  "a field that is no message": Buffer.from([0x08, 0x01]),
};

let calls: CallFixture;
beforeAll(async () => {
  calls = await CallFixture.start();
});
afterAll(() => calls.close());

/** A server's lane, and its requester as a bare call that may send anything. */
async function serverLane(): Promise<{
  lane: Lane;
  record: LaneRecord;
  peer: GrpcClientStream;
  heard: StreamRecord;
}> {
  const { client, server } = await calls.open();
  const heard = new StreamRecord();
  client.start(heard);
  const lane = new Lane(server, "server", Hop.AGENT);
  const record = new LaneRecord();
  lane.start(record);
  lane.sendReady();
  await heard.messages.take();
  return { lane, record, peer: client, heard };
}

/** A requester's lane, and its server as a bare call that may send anything. */
async function requesterLane(): Promise<{
  lane: Lane;
  record: LaneRecord;
  peer: GrpcServerStream;
  heard: StreamRecord;
}> {
  const { client, server } = await calls.open();
  const heard = new StreamRecord();
  server.start(heard);
  const lane = new Lane(client, "requester", Hop.RELAY);
  const record = new LaneRecord();
  lane.start(record);
  return { lane, record, peer: server, heard };
}

/** A lane with a `Lane` at both ends, ready for exchanges. */
async function lanePair(): Promise<{ requester: Lane; server: Lane; asked: LaneRecord; served: LaneRecord }> {
  const { client, server: call } = await calls.open();
  const [requester, server] = [new Lane(client, "requester", Hop.RELAY), new Lane(call, "server", Hop.AGENT)];
  const [asked, served] = [new LaneRecord(), new LaneRecord()];
  requester.start(asked);
  server.start(served);
  server.sendReady();
  await asked.frames.take();
  return { requester, server, asked, served };
}

/** Carries one small exchange over a lane, from end to end. */
async function exchange({ requester, server, asked, served }: Awaited<ReturnType<typeof lanePair>>): Promise<void> {
  requester.sendMessage(requestMessage("whole"));
  expect((await served.frames.take()).field).toBe(RequestFrameSchema.field.whole.number);
  server.sendMessage(responseMessage("whole"));
  expect((await asked.frames.take()).field).toBe(ResponseFrameSchema.field.whole.number);
  await Promise.all([asked.idles.take(), served.idles.take()]);
}

/** What a lane made of a message: taken as a frame, or the end of the lane. */
function outcome(record: LaneRecord): Promise<"taken" | FairleadError | undefined> {
  return Promise.race([record.frames.take().then(() => "taken" as const), record.closes.take()]);
}

describe("a server's lane", () => {
  const situations: { when: string; requests: RequestName[]; answers: ResponseName[]; legal: RequestName[] }[] = [
    { when: "no request came", requests: [], answers: [], legal: ["head", "whole"] },
    { when: "a head came", requests: ["head"], answers: [], legal: ["data", "end"] },
    { when: "a head and data came", requests: ["head", "data"], answers: [], legal: ["data", "end"] },
    { when: "a request ended and is not answered", requests: ["head", "end"], answers: [], legal: [] },
    { when: "a whole request is not answered", requests: ["whole"], answers: [], legal: [] },
    { when: "a whole request is answered by halves", requests: ["whole"], answers: ["head", "data"], legal: [] },
    { when: "a whole request is answered", requests: ["whole"], answers: ["whole"], legal: ["head", "whole"] },
    { when: "a request is answered", requests: ["head", "end"], answers: ["head", "end"], legal: ["head", "whole"] },
    { when: "a request failed", requests: ["whole"], answers: ["error"], legal: ["head", "whole"] },
    { when: "an answer came before the request's end", requests: ["head"], answers: ["whole"], legal: ["data", "end"] },
  ];

  for (const { when, requests, answers, legal } of situations) {
    it(`takes ${legal.join(" or ") || "nothing"} when ${when}, and is ended by all else, alone`, async () => {
      const bystander = await lanePair();
      const probes = [...REQUESTS.map((name): [string, Uint8Array] => [name, requestMessage(name)])];
      probes.push(...Object.entries(NO_FRAMES));
      for (const [name, message] of probes) {
        const { lane, record, peer, heard } = await serverLane();
        for (const request of requests) {
          peer.send(requestMessage(request));
          await record.frames.take();
        }
        for (const answer of answers) lane.sendMessage(responseMessage(answer));
        for (const _ of answers) await heard.messages.take();

        peer.send(message);
        const result = await outcome(record);
        if (legal.some((frame) => frame === name)) {
          expect([name, result]).toEqual([name, "taken"]);
          lane.reset(new Fault(ErrorCode.CANCELLED, Hop.AGENT, "the test is over"));
        } else {
          expect([name, result]).toMatchObject([name, { code: ErrorCode.PROTOCOL_VIOLATION, hop: Hop.AGENT }]);
          expect(lane.closed).toBe(true);
          expect((await heard.closes.take())?.code).toBe(ErrorCode.PROTOCOL_VIOLATION);
        }
      }
      await exchange(bystander);
      expect(calls.connections).toBe(1);
    });
  }
});

describe("a requester's lane", () => {
  const situations: { when: string; answers: ResponseName[]; requests: RequestName[]; legal: ResponseName[] }[] = [
    { when: "nothing came", requests: [], answers: [], legal: ["ready"] },
    { when: "it asked before the server was ready", requests: ["whole"], answers: [], legal: ["ready"] },
    { when: "it has asked for nothing", requests: [], answers: ["ready"], legal: [] },
    {
      when: "it sent a head",
      requests: ["head"],
      answers: ["ready"],
      legal: ["informational", "head", "whole", "error"],
    },
    {
      when: "it sent a whole request",
      requests: ["whole"],
      answers: ["ready"],
      legal: ["informational", "head", "whole", "error"],
    },
    {
      when: "a 1xx came",
      requests: ["whole"],
      answers: ["ready", "informational"],
      legal: ["informational", "head", "whole", "error"],
    },
    { when: "a head came", requests: ["whole"], answers: ["ready", "head"], legal: ["data", "end", "error"] },
    { when: "data came", requests: ["whole"], answers: ["ready", "head", "data"], legal: ["data", "end", "error"] },
    { when: "it has its answer", requests: ["whole"], answers: ["ready", "whole"], legal: [] },
    { when: "its request failed", requests: ["whole"], answers: ["ready", "error"], legal: [] },
    {
      when: "it had its answer before it ended its request",
      requests: ["head"],
      answers: ["ready", "whole"],
      legal: [],
    },
    { when: "its request failed before it ended", requests: ["head"], answers: ["ready", "head", "error"], legal: [] },
  ];

  for (const { when, requests, answers, legal } of situations) {
    it(`takes ${legal.join(" or ") || "nothing"} when ${when}, and is ended by all else, alone`, async () => {
      const bystander = await lanePair();
      const probes = [...RESPONSES.map((name): [string, Uint8Array] => [name, responseMessage(name)])];
      probes.push(...Object.entries(NO_FRAMES));
      for (const [name, message] of probes) {
        const { lane, record, peer, heard } = await requesterLane();
        for (const request of requests) lane.sendMessage(requestMessage(request));
        for (const _ of requests) await heard.messages.take();
        for (const answer of answers) {
          peer.send(responseMessage(answer));
          await record.frames.take();
        }

        peer.send(message);
        const result = await outcome(record);
        if (legal.some((frame) => frame === name)) {
          expect([name, result]).toEqual([name, "taken"]);
          lane.reset(new Fault(ErrorCode.CANCELLED, Hop.RELAY, "the test is over"));
        } else {
          expect([name, result]).toMatchObject([name, { code: ErrorCode.PROTOCOL_VIOLATION, hop: Hop.RELAY }]);
          expect(lane.closed).toBe(true);
          await heard.ends.take();
          peer.end();
          await heard.closes.take();
        }
      }
      await exchange(bystander);
      expect(calls.connections).toBe(1);
    });
  }

  it("may ask before the server is ready, and is not idle until it has its answer", async () => {
    const { lane, record, peer, heard } = await requesterLane();
    lane.sendMessage(requestMessage("whole"));
    await heard.messages.take();
    peer.send(responseMessage("ready"));
    peer.send(responseMessage("whole"));
    await record.idles.take();
    expect(record.frames.size).toBe(2);
    lane.end();
    await heard.ends.take();
    peer.end();
    expect(await record.closes.take()).toBeUndefined();
  });
});

describe("a lane", () => {
  it("carries many exchanges, one after the other", async () => {
    const pair = await lanePair();
    for (let i = 0; i < 300; i++) await exchange(pair);
    expect(pair.asked.closes.size + pair.served.closes.size).toBe(0);
    expect([pair.requester.inExchange, pair.server.inExchange]).toEqual([false, false]);
  });

  it("throws at an end that would send out of order, and lives on", async () => {
    const pair = await lanePair();
    const violation = expect.objectContaining({ code: ErrorCode.PROTOCOL_VIOLATION });
    expect(() => pair.requester.sendMessage(requestMessage("data"))).toThrow(violation);
    expect(() => pair.server.sendMessage(responseMessage("whole"))).toThrow(violation);
    expect(() => pair.server.sendReady()).toThrow(violation);
    expect(() => pair.requester.sendMessage(Buffer.of(0x62, 0))).toThrow("not one known frame");
    await exchange(pair);
    pair.requester.sendMessage(requestMessage("whole"));
    expect(() => pair.requester.sendMessage(requestMessage("whole"))).toThrow(
      "whole came where the exchange before it is not over",
    );
    expect(pair.requester.closed).toBe(false);
  });

  it("may be answered before the request's end, and is idle when that has come too", async () => {
    const { requester, server, asked, served } = await lanePair();
    requester.sendMessage(requestMessage("head"));
    await served.frames.take();
    server.sendMessage(responseMessage("whole"));
    await asked.frames.take();
    expect([requester.answered, requester.inExchange, asked.idles.size]).toEqual([true, true, 0]);
    requester.sendMessage(requestMessage("data"));
    requester.sendMessage(requestMessage("end"));
    await Promise.all([asked.idles.take(), served.idles.take(), served.frames.take(), served.frames.take()]);
    await exchange({ requester, server, asked, served });
    expect([asked.idles.size, served.idles.size]).toEqual([0, 0]);
  });

  it.each([
    ["a data frame of 64 KiB", MAX_FRAME_DATA_BYTES, "taken"],
    ["a data frame of 64 KiB and what protobuf does not need", MAX_FRAME_DATA_BYTES + 64, "over the limit of 65536"],
    ["a data frame of 1 MiB", 1024 * 1024, "over the limit of 65536"],
  ])("meets %s in a request", async (_what, length, expected) => {
    const { lane, record, peer } = await serverLane();
    peer.send(requestMessage("head"));
    await record.frames.take();
    const frame = { case: "data" as const, value: { offset: 2n ** 63n, data: new Uint8Array(length) } };
    peer.send(toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame })));
    const result = await outcome(record);
    expect(typeof result === "object" ? result.message : result).toContain(expected);
    if (typeof result === "object") expect(result.code).toBe(ErrorCode.PROTOCOL_VIOLATION);
    lane.reset(new Fault(ErrorCode.CANCELLED, Hop.AGENT, "the test is over"));
  });

  it("is ended by a data frame over the limit in an answer", async () => {
    const { lane, record, peer } = await requesterLane();
    lane.sendMessage(requestMessage("whole"));
    for (const name of ["ready", "head"] as const) {
      peer.send(responseMessage(name));
      await record.frames.take();
    }
    const frame = { case: "data" as const, value: { data: new Uint8Array(MAX_FRAME_DATA_BYTES + 100) } };
    peer.send(toBinary(ResponseFrameSchema, create(ResponseFrameSchema, { frame })));
    expect(await outcome(record)).toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION });
    peer.end();
  });

  it("does not send a data frame over the limit itself", async () => {
    const { requester, server } = await lanePair();
    requester.sendMessage(requestMessage("head"));
    const data = new Uint8Array(MAX_FRAME_DATA_BYTES + 100);
    const send = () => requester.sendRequest({ case: "data", value: frameData(data) });
    expect(send).toThrow("over the limit");
    requester.reset(new Fault(ErrorCode.CANCELLED, Hop.RELAY, "the test is over"));
    expect(server.inExchange).toBe(false);
  });

  it("is ended by a frame that its owner cannot decode", async () => {
    const { lane, peer, heard } = await serverLane();
    const closes = new LaneRecord();
    lane.start({
      frame: (_field, message) => void decodeRequest(message),
      drained: () => {},
      idle: () => {},
      closed: (error) => closes.closed(error),
    });
    peer.send(Buffer.from([0x0a, 0x03, 0x0a, 0x7f, 0x00])); // a head whose exchange id is longer than the head
    expect(await closes.closes.take()).toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION });
    expect((await heard.closes.take())?.message).toContain("fairlead.tunnel.v1alpha1.RequestFrame cannot be decoded");
  });

  it("is ended when its owner throws, and the peer is told that the fault was here", async () => {
    const { lane, peer, heard, record } = await serverLane();
    lane.start({
      frame: () => {
        throw new TypeError("planted");
      },
      drained: () => {},
      idle: () => record.idle(),
      closed: (error) => record.closed(error),
    });
    peer.send(requestMessage("whole"));
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.INTERNAL });
    expect((await heard.closes.take())?.message).toContain("planted");
    expect(record.idles.size).toBe(0);
  });

  it("is lost when the peer ends it within an exchange", async () => {
    const { record, peer, heard } = await serverLane();
    peer.send(requestMessage("head"));
    await record.frames.take();
    peer.end();
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.AGENT });
    expect(await heard.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
  });

  it("is lost when the server ends it within an exchange", async () => {
    const { lane, record, peer, heard } = await requesterLane();
    peer.send(responseMessage("ready"));
    lane.sendMessage(requestMessage("whole"));
    await heard.messages.take();
    peer.end();
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.RELAY });
    await heard.closes.take();
  });

  it.each(["requester", "server"] as const)(
    "ends in good order at both ends when the %s ends it idle",
    async (role) => {
      const pair = await lanePair();
      await exchange(pair);
      pair[role].end();
      expect(await pair.asked.closes.take()).toBeUndefined();
      expect(await pair.served.closes.take()).toBeUndefined();
      expect([pair.requester.closed, pair.server.closed]).toEqual([true, true]);
    },
  );

  it("tells its owner once that it is gone, whatever is done to it after", async () => {
    const pair = await lanePair();
    const gone = new Fault(ErrorCode.DRAINING, Hop.AGENT, "stopping");
    for (const lane of [pair.server, pair.requester]) {
      lane.reset(gone);
      lane.refuse(gone);
      lane.reset(gone);
      lane.end();
      expect(lane.sendMessage(Buffer.from("no frame at all"))).toBe(true);
    }
    expect([await pair.served.closes.take(), await pair.asked.closes.take()]).toEqual([gone, gone]);
    await exchange(await lanePair());
    expect(pair.served.closes.size + pair.asked.closes.size).toBe(0);
  });

  it("that is reset ends for the peer as cancelled", async () => {
    const pair = await lanePair();
    pair.requester.reset(new Fault(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "the client went away"));
    expect(await pair.served.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED, hop: Hop.AGENT });
    const other = await lanePair();
    other.server.reset(new Fault(ErrorCode.DRAINING, Hop.AGENT, "stopping"));
    expect(await other.asked.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED, hop: Hop.RELAY });
  });

  it("that is refused ends for the requester with the reason", async () => {
    const pair = await lanePair();
    pair.server.refuse(new Fault(ErrorCode.TOKEN_REFUSED, Hop.RELAY, "the lane names no session of this relay"));
    expect(await pair.asked.closes.take()).toMatchObject({
      code: ErrorCode.TOKEN_REFUSED,
      message: "the lane names no session of this relay",
    });
  });

  it("gives no frame while it is paused, but for what was read already", async () => {
    const pair = await lanePair();
    pair.server.pause();
    pair.requester.sendMessage(requestMessage("whole"));
    await exchange(await lanePair()); // a full turn of the same connection
    expect(pair.served.frames.size).toBe(0);
    pair.server.resume();
    await pair.served.frames.take();
  });

  it("tells its next owner, and no longer the one before", async () => {
    const pair = await lanePair();
    const next = new LaneRecord();
    pair.server.start(next);
    pair.requester.sendMessage(requestMessage("whole"));
    await next.frames.take();
    pair.server.sendMessage(responseMessage("whole"));
    await next.idles.take();
    expect([pair.served.frames.size, pair.served.idles.size]).toEqual([0, 0]);
  });

  it("says when its sender is to wait, and when to go on", async () => {
    const { requester, server, asked, served } = await lanePair();
    server.pause();
    requester.sendMessage(requestMessage("head"));
    const piece = frameData(new Uint8Array(MAX_FRAME_DATA_BYTES));
    let sent = 0;
    while (requester.sendRequest({ case: "data", value: piece })) sent++;
    expect(sent).toBeLessThan(64);
    server.resume();
    await asked.drains.take();
    for (let i = 0; i < sent + 2; i++) await served.frames.take();
  });
});

describe("a lane that its server ends behind an answer", () => {
  it.each([1, 3, 30])("gives a slow reader the whole answer first (%i data frames)", async (pieces) => {
    const { requester, server, asked, served } = await lanePair();
    requester.pause();
    requester.sendMessage(requestMessage("whole"));
    await served.frames.take();
    server.sendMessage(responseMessage("head"));
    for (let i = 0; i < pieces; i++) server.sendMessage(responseMessage("data"));
    server.sendMessage(responseMessage("end"));
    server.end();
    await exchange(await lanePair()); // a full turn of the same connection
    expect(asked.closes.size).toBe(0);
    requester.resume();
    expect(await asked.closes.take()).toBeUndefined();
    expect([asked.frames.size, asked.idles.size]).toEqual([pieces + 2, 1]);
  });
});

describe("all lanes of a connection that is lost", () => {
  it.each([
    ["idle", false],
    ["within an exchange", true],
  ])("end once each, with CONNECTION_LOST, when they are %s", async (_when, busy) => {
    const own = await CallFixture.start();
    const ends: [LaneRecord, LaneRecord][] = [];
    for (let i = 0; i < 5; i++) {
      const { client, server } = await own.open();
      const pair: [LaneRecord, LaneRecord] = [new LaneRecord(), new LaneRecord()];
      const lane = new Lane(server, "server", Hop.AGENT);
      const requester = new Lane(client, "requester", Hop.RELAY);
      requester.start(pair[0]);
      lane.start(pair[1]);
      lane.sendReady();
      await pair[0].frames.take();
      if (busy) {
        requester.sendMessage(requestMessage("head"));
        await pair[1].frames.take();
      }
      ends.push(pair);
    }
    own.cut();
    for (const [asked, served] of ends) {
      expect(await asked.closes.take()).toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.RELAY });
      expect(await served.closes.take()).toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.AGENT });
    }
    await own.close();
    expect(ends.flat().every(({ closes }) => closes.size === 0)).toBe(true);
  });
});

function frameData(data: Uint8Array) {
  const message = create(RequestFrameSchema, { frame: { case: "data", value: { data } } });
  if (message.frame.case !== "data") throw new Error("unreachable");
  return message.frame.value;
}
