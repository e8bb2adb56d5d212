import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { FairleadError } from "./errors.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type RequestFrame,
  RequestFrameSchema,
  type ResponseFrame,
  ResponseFrameSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { Lane } from "./lane.ts";
import { CallFixture, LaneRecord, Mailbox, requestMessage, responseMessage, settled } from "./lane-fixture.ts";
import { MAX_FRAME_DATA_BYTES } from "./limits.ts";
import { failExchange, type Splice, splice } from "./splice.ts";

let inboundCalls: CallFixture;
let outboundCalls: CallFixture;
beforeAll(async () => {
  inboundCalls = await CallFixture.start();
  outboundCalls = await CallFixture.start();
});
afterAll(() => Promise.all([inboundCalls.close(), outboundCalls.close()]));

/** What the hop that made a splice was told. */
class SpliceRecord {
  began = 0;
  inboundIdles = 0;
  outboundIdles = 0;
  readonly closes = new Mailbox<FairleadError | undefined>();
}

/** requester — inbound ═ splice ═ outbound — server, on two real connections. */
async function scene(): Promise<{
  requester: Lane;
  asked: LaneRecord;
  inbound: Lane;
  outbound: Lane;
  server: Lane;
  served: LaneRecord;
  told: SpliceRecord;
  joined: Splice;
}> {
  const near = await inboundCalls.open();
  const far = await outboundCalls.open();
  const [requester, inbound] = [
    new Lane(near.client, "requester", Hop.RELAY),
    new Lane(near.server, "server", Hop.CLIENT_PROXY),
  ];
  const [outbound, server] = [new Lane(far.client, "requester", Hop.AGENT), new Lane(far.server, "server", Hop.RELAY)];
  const [asked, served, told] = [new LaneRecord(), new LaneRecord(), new SpliceRecord()];
  requester.start(asked);
  server.start(served);
  server.sendReady();
  const joined = splice(inbound, outbound, {
    hop: Hop.RELAY,
    began: () => told.began++,
    inboundIdle: () => told.inboundIdles++,
    outboundIdle: () => told.outboundIdles++,
    closed: (error) => told.closes.put(error),
  });
  inbound.sendReady();
  await asked.frames.take();
  return { requester, asked, inbound, outbound, server, served, told, joined };
}

const request = (frame: RequestFrame["frame"]): Uint8Array =>
  toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame }));
const response = (frame: ResponseFrame["frame"]): Uint8Array =>
  toBinary(ResponseFrameSchema, create(ResponseFrameSchema, { frame }));
const decoded = async (record: LaneRecord): Promise<ResponseFrame["frame"]> =>
  fromBinary(ResponseFrameSchema, (await record.frames.take()).message).frame;

/** grpc-js ends its direction before it resets the call; which of the two the server sees first is a race. */
const GONE = [ErrorCode.CANCELLED, ErrorCode.CONNECTION_LOST];

const reset = new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "the client went away");

describe("a splice", () => {
  it("passes frames both ways as the bytes that came", async () => {
    const { requester, asked, server, served, told } = await scene();
    const requests = [
      request(create(RequestFrameSchema, { frame: { case: "head", value: { target: "/x", cluster: "c" } } }).frame),
      Buffer.from([0x12, 0x05, 0x12, 0x03, 0x61, 0x62, 0x63]), // data
      Buffer.from([0x1a, 0x02, 0x50, 0x01]), // an end with a field that this version does not know
    ];
    for (const message of requests) requester.sendMessage(message);
    for (const message of requests)
      expect(Buffer.from((await served.frames.take()).message)).toEqual(Buffer.from(message));
    const responses = [
      responseMessage("informational"),
      responseMessage("head"),
      responseMessage("data"),
      responseMessage("end"),
    ];
    for (const message of responses) server.sendMessage(message);
    for (const message of responses)
      expect(Buffer.from((await asked.frames.take()).message)).toEqual(Buffer.from(message));
    await Promise.all([asked.idles.take(), served.idles.take()]);
    expect(told).toMatchObject({ began: 1, inboundIdles: 1, outboundIdles: 1 });
  });

  it("carries many exchanges, one after the other, and its `ready` goes no further", async () => {
    const { requester, asked, server, served, told } = await scene();
    for (let i = 0; i < 100; i++) {
      requester.sendMessage(requestMessage("whole"));
      await served.frames.take();
      server.sendMessage(responseMessage("whole"));
      await asked.frames.take();
      await asked.idles.take();
    }
    expect(told).toMatchObject({ began: 100, inboundIdles: 100, outboundIdles: 100 });
    expect(told.closes.size).toBe(0);
  });

  it("carries a credential as it does a request, and adds no timing to its answer", async () => {
    const { requester, asked, server, served, told } = await scene();
    const timed = create(RequestFrameSchema, { frame: { case: "whole", value: { head: { wantsTimings: true } } } });
    for (const message of [request(timed.frame), requestMessage("credential")]) {
      requester.sendMessage(message);
      expect(Buffer.from((await served.frames.take()).message)).toEqual(Buffer.from(message));
      server.sendMessage(responseMessage("whole"));
      await asked.idles.take();
    }
    await asked.frames.take();
    expect(Buffer.from((await asked.frames.take()).message)).toEqual(Buffer.from(responseMessage("whole")));
    expect(told).toMatchObject({ began: 2, inboundIdles: 2, outboundIdles: 2 });
  });

  it("passes on a request that came before the lanes were joined", async () => {
    const near = await inboundCalls.open();
    const far = await outboundCalls.open();
    const requester = new Lane(near.client, "requester", Hop.RELAY);
    const inbound = new Lane(near.server, "server", Hop.CLIENT_PROXY);
    const [asked, served, early] = [new LaneRecord(), new LaneRecord(), new LaneRecord()];
    requester.start(asked);
    inbound.start(early);
    inbound.sendReady();
    requester.sendMessage(requestMessage("whole"));
    const { message } = await early.frames.take();

    const server = new Lane(far.server, "server", Hop.RELAY);
    server.start(served);
    server.sendReady();
    const joined = splice(inbound, new Lane(far.client, "requester", Hop.AGENT), { hop: Hop.RELAY });
    joined.request(message, performance.now());
    await served.frames.take();
    server.sendMessage(responseMessage("whole"));
    await Promise.all([asked.idles.take(), served.idles.take()]);
  });

  it("does not read the requester while the server does not read", async () => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(requestMessage("head"));
    await served.frames.take();
    server.pause();
    const piece = request(dataOf(RequestFrameSchema));
    let sent = 0;
    const fill = (): void => {
      while (requester.sendMessage(piece)) sent++;
      sent++;
    };
    requester.start({ ...plain(asked), drained: fill });
    fill();
    await settled(() => sent);
    expect(sent * MAX_FRAME_DATA_BYTES).toBeLessThan(16 * 1024 * 1024);
    requester.start(asked);
    server.resume();
    for (let i = 0; i < sent; i++) await served.frames.take();
    requester.reset(reset);
  });

  it("does not read the server while the requester does not read", async () => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(requestMessage("whole"));
    await served.frames.take();
    requester.pause();
    server.sendMessage(responseMessage("head"));
    const piece = response(dataOf(ResponseFrameSchema));
    let sent = 0;
    const fill = (): void => {
      while (server.sendMessage(piece)) sent++;
      sent++;
    };
    server.start({ ...plain(served), drained: fill });
    fill();
    await settled(() => sent);
    expect(sent * MAX_FRAME_DATA_BYTES).toBeLessThan(16 * 1024 * 1024);
    server.start(served);
    requester.resume();
    for (let i = 0; i < sent + 1; i++) await asked.frames.take();
    server.sendMessage(responseMessage("end"));
    await asked.idles.take();
  });
});

describe("a splice that loses the server's side", () => {
  it("before the head tells the requester by an error frame, and the inbound lane lives on", async () => {
    const { requester, asked, inbound, server, served, told } = await scene();
    requester.sendMessage(requestMessage("whole"));
    await served.frames.take();
    server.refuse(new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.AGENT, "too many"));
    expect(await decoded(asked)).toMatchObject({
      case: "error",
      value: { code: ErrorCode.LIMIT_EXCEEDED, message: "too many" },
    });
    await asked.idles.take();
    expect(await told.closes.take()).toMatchObject({ code: ErrorCode.LIMIT_EXCEEDED });
    expect([inbound.closed, requester.closed]).toEqual([false, false]);
  });

  it("after the head cuts the answer by an error frame, never by an end", async () => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(requestMessage("whole"));
    await served.frames.take();
    for (const name of ["head", "data"] as const) {
      server.sendMessage(responseMessage(name));
      await asked.frames.take();
    }
    server.reset(reset);
    expect(await decoded(asked)).toMatchObject({ case: "error", value: { code: ErrorCode.CANCELLED } });
    await asked.idles.take();
  });

  it("before the request's end tells by an error frame first, and then ends the inbound lane", async () => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(requestMessage("head"));
    await served.frames.take();
    server.refuse(new FairleadError(ErrorCode.ACCESS_DENIED, Hop.AGENT, "no"));
    expect(await decoded(asked)).toMatchObject({ case: "error", value: { code: ErrorCode.ACCESS_DENIED } });
    expect(await asked.closes.take()).toBeInstanceOf(FairleadError);
  });

  it("behind an early answer, before the request's end, ends the inbound lane", async () => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(requestMessage("head"));
    await served.frames.take();
    server.sendMessage(responseMessage("whole"));
    await asked.frames.take();
    server.reset(reset);
    expect(await asked.closes.take()).toBeInstanceOf(FairleadError);
    expect(asked.frames.size).toBe(0);
  });

  it("between exchanges leaves the inbound lane to its hop", async () => {
    const { asked, inbound, server, told } = await scene();
    server.end();
    await told.closes.take();
    expect([inbound.closed, asked.frames.size]).toEqual([false, 0]);
  });

  it("by a frame out of order, that is the server's fault and so told", async () => {
    const { requester, asked, served } = await scene();
    const far = await outboundCalls.open();
    const outbound = new Lane(far.client, "requester", Hop.AGENT);
    const near = await inboundCalls.open();
    const inbound = new Lane(near.server, "server", Hop.CLIENT_PROXY);
    const own = new Lane(near.client, "requester", Hop.RELAY);
    const heard = new LaneRecord();
    own.start(heard);
    splice(inbound, outbound, { hop: Hop.RELAY });
    inbound.sendReady();
    await heard.frames.take();
    const bare = { messages: new Mailbox<Uint8Array>() };
    far.server.start({
      message: (message) => bare.messages.put(message),
      ended: () => far.server.end(),
      drained: () => {},
      closed: () => {},
    });
    far.server.send(responseMessage("ready"));
    own.sendMessage(requestMessage("whole"));
    await bare.messages.take();
    far.server.send(responseMessage("data"));
    expect(await decoded(heard)).toMatchObject({
      case: "error",
      value: { code: ErrorCode.PROTOCOL_VIOLATION, hop: Hop.AGENT },
    });
    requester.sendMessage(requestMessage("whole")); // another splice of the same connections
    await served.frames.take();
    expect(asked.closes.size).toBe(0);
  });
});

describe("a splice that loses the requester's side", () => {
  it("within an exchange resets the server's lane", async () => {
    const { requester, server, served, told } = await scene();
    requester.sendMessage(requestMessage("head"));
    await served.frames.take();
    requester.reset(reset);
    expect(GONE).toContain((await served.closes.take())?.code);
    expect(server.closed).toBe(true);
    expect(await told.closes.take()).toBeInstanceOf(FairleadError);
  });

  it("between exchanges, in good order, ends the server's lane in good order", async () => {
    const { requester, served } = await scene();
    requester.end();
    expect(await served.closes.take()).toBeUndefined();
  });

  it("while the server sends throws away what is left, and throws nothing", async () => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(requestMessage("whole"));
    await served.frames.take();
    server.sendMessage(responseMessage("head"));
    await asked.frames.take();
    requester.reset(reset);
    while (!server.closed) {
      server.sendMessage(response(dataOf(ResponseFrameSchema)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(GONE).toContain((await served.closes.take())?.code);
  });
});

describe("a splice's timings", () => {
  const timed = request(
    create(RequestFrameSchema, { frame: { case: "whole", value: { head: { wantsTimings: true } } } }).frame,
  );

  it.each(["whole", "head"] as const)("are put behind those in a %s, if the request asked", async (name) => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(timed);
    await served.frames.take();
    const timings = [{ hop: Hop.APISERVER, durationUs: 5 }];
    const frame = name === "whole" ? { case: name, value: { head: { timings } } } : { case: name, value: { timings } };
    server.sendMessage(toBinary(ResponseFrameSchema, create(ResponseFrameSchema, { frame } as never)));
    const answer = await decoded(asked);
    const head = answer.case === "whole" ? answer.value.head : answer.case === "head" ? answer.value : undefined;
    expect(head?.timings).toMatchObject([{ hop: Hop.APISERVER, durationUs: 5 }, { hop: Hop.RELAY }]);
    expect(head?.timings[1]?.durationUs).toBeGreaterThan(0);
    expect(head?.timings[1]?.durationUs).toBeLessThan(10_000_000);
  });

  it("are left alone in a 1xx, and if the request did not ask", async () => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(timed);
    await served.frames.take();
    const message = responseMessage("informational");
    server.sendMessage(message);
    expect(Buffer.from((await asked.frames.take()).message)).toEqual(Buffer.from(message));
    server.sendMessage(responseMessage("whole"));
    await asked.idles.take();
    await asked.frames.take();

    requester.sendMessage(requestMessage("whole"));
    await served.frames.take();
    server.sendMessage(responseMessage("whole"));
    expect(Buffer.from((await asked.frames.take()).message)).toEqual(Buffer.from(responseMessage("whole")));
  });

  it("that were asked for, in an answer that cannot be decoded, are a PROTOCOL_VIOLATION", async () => {
    const { requester, asked, server, served } = await scene();
    requester.sendMessage(timed);
    await served.frames.take();
    server.sendMessage(Buffer.from([0x32, 0x03, 0x0a, 0x7f, 0x00])); // a whole whose head is longer than itself
    expect(await decoded(asked)).toMatchObject({ case: "error", value: { code: ErrorCode.PROTOCOL_VIOLATION } });
  });
});

describe("failing an exchange", () => {
  it("does nothing to a lane that has none", async () => {
    const { asked, inbound } = await scene();
    failExchange(inbound, reset);
    expect([inbound.closed, asked.frames.size]).toEqual([false, 0]);
  });
});

function plain(record: LaneRecord) {
  return {
    frame: (field: number, message: Uint8Array) => record.frame(field, message),
    idle: () => record.idle(),
    closed: (error?: FairleadError) => record.closed(error),
  };
}

function dataOf(schema: typeof RequestFrameSchema): RequestFrame["frame"];
function dataOf(schema: typeof ResponseFrameSchema): ResponseFrame["frame"];
function dataOf(schema: typeof RequestFrameSchema | typeof ResponseFrameSchema) {
  return create(schema, { frame: { case: "data", value: { data: new Uint8Array(MAX_FRAME_DATA_BYTES) } } }).frame;
}
