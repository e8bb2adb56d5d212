import { constants, type ServerHttp2Stream } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { FairleadError } from "./errors.ts";
import { Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { RequestFrameSchema, ResponseFrameSchema } from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { GrpcClientStream } from "./grpc-client-stream.ts";
import { withGrpcPrefix } from "./grpc-framing.ts";
import { decodeRequest, decodeResponse, Lane } from "./lane.ts";
import { CallFixture, LaneRecord, Mailbox, requestMessage, responseMessage, SeededRandom } from "./lane-fixture.ts";

/** How many mutated lanes there are of each direction, and how many of them at once. */
const LANES = 1_000;
const AT_ONCE = 50;

let calls: CallFixture;
const thrown: unknown[] = [];
const onThrown = (error: unknown): number => thrown.push(error);
beforeAll(async () => {
  calls = await CallFixture.start();
  process.on("uncaughtException", onThrown);
  process.on("unhandledRejection", onThrown);
});
afterAll(async () => {
  process.off("uncaughtException", onThrown);
  process.off("unhandledRejection", onThrown);
  await calls.close();
});

describe("a thousand lanes whose peer sends mutated frames", () => {
  it("end once each as a server's lane, and the lane beside them lives on", async () => {
    const bystander = await healthyLane();
    await inBatches(async (random) => {
      const { client, server } = await calls.openRaw();
      const lane = new Lane(server, "server", Hop.AGENT);
      const closes = new Mailbox<FairleadError | undefined>();
      lane.start({
        frame: (field, message) => {
          decodeRequest(message);
          answer(lane, field, random);
        },
        drained: () => {},
        idle: () => {},
        closed: (error) => closes.put(error),
      });
      lane.sendReady();
      for (const piece of cut(mutatedBytes(requestSequence(random), random), random)) client.write(piece);
      if (random.below(4) > 0) client.end();
      else client.close(constants.NGHTTP2_CANCEL);
      await closes.take();
      expect(closes.size).toBe(0);
      client.close();
    });
    await bystander();
    expect(thrown).toEqual([]);
  });

  it("end once each as a requester's lane, and the lane beside them lives on", async () => {
    const bystander = await healthyLane();
    await inBatches(async (random) => {
      const lane = new Lane(
        new GrpcClientStream(calls.client, "/fairlead.test/Call", { peerHop: Hop.RELAY }),
        "requester",
        Hop.RELAY,
      );
      const closes = new Mailbox<FairleadError | undefined>();
      const stream = await calls.acceptStream();
      lane.start({
        frame: (_field, message) => void decodeResponse(message),
        drained: () => {},
        idle: () => lane.sendMessage(requestMessage("whole")),
        closed: (error) => closes.put(error),
      });
      lane.sendMessage(requestMessage(random.pick(["head", "whole"])));
      respondWith(stream, cut(mutatedBytes(responseSequence(random), random), random), random);
      await closes.take();
      expect(closes.size).toBe(0);
    });
    await bystander();
    expect(thrown).toEqual([]);
  });
});

/** Runs a case for each seed. Opening a call is told apart by its order, so cases of one batch open one by one. */
async function inBatches(run: (random: SeededRandom) => Promise<void>): Promise<void> {
  for (let seed = 0; seed < LANES; seed += AT_ONCE) {
    const cases: Promise<void>[] = [];
    for (let i = 0; i < AT_ONCE; i++) {
      cases.push(run(new SeededRandom(seed + i)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(cases);
  }
}

/** A lane of the same connections; the returned function carries an exchange over it. */
async function healthyLane(): Promise<() => Promise<void>> {
  const { client, server: call } = await calls.open();
  const [asked, served] = [new LaneRecord(), new LaneRecord()];
  const [requester, server] = [new Lane(client, "requester", Hop.RELAY), new Lane(call, "server", Hop.AGENT)];
  requester.start(asked);
  server.start(served);
  server.sendReady();
  return async () => {
    requester.sendMessage(requestMessage("whole"));
    await served.frames.take();
    server.sendMessage(responseMessage("whole"));
    await Promise.all([asked.idles.take(), served.idles.take()]);
  };
}

/** Answers as a well-behaved server does, now or at the request's end. */
function answer(lane: Lane, field: number, random: SeededRandom): void {
  const { whole, end, credential } = RequestFrameSchema.field;
  const ended = [whole, end, credential].some(({ number }) => number === field);
  if (lane.answered && lane.inExchange) return;
  if (!ended && random.below(3) > 0) return;
  if (random.below(2) === 0) return void lane.sendMessage(responseMessage(random.pick(["whole", "error"])));
  for (const name of ["head", "data", "end"] as const) lane.sendMessage(responseMessage(name));
}

function requestSequence(random: SeededRandom): Uint8Array[] {
  return Array.from({ length: 1 + random.below(3) }).flatMap(() => {
    if (random.below(2) === 0) return [requestMessage(random.pick(["whole", "whole", "credential"]))];
    const data = { case: "data" as const, value: { data: random.bytes(random.below(40)) } };
    const pieces = Array.from({ length: random.below(3) }, () =>
      toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame: data })),
    );
    return [requestMessage("head"), ...pieces, requestMessage("end")];
  });
}

function responseSequence(random: SeededRandom): Uint8Array[] {
  const exchanges = Array.from({ length: 1 + random.below(3) }).flatMap(() => {
    if (random.below(2) === 0) return [responseMessage("informational"), responseMessage("whole")];
    const data = { case: "data" as const, value: { data: random.bytes(random.below(40)) } };
    const piece = toBinary(ResponseFrameSchema, create(ResponseFrameSchema, { frame: data }));
    return [responseMessage("head"), piece, responseMessage(random.pick(["end", "error"]))];
  });
  return [responseMessage("ready"), ...exchanges];
}

/** Mutates the order of the frames, the bytes of frames, or the bytes of gRPC's framing. */
function mutatedBytes(frames: Uint8Array[], random: SeededRandom): Buffer {
  const mutated = [...frames];
  const at = (): number => random.below(Math.max(1, mutated.length));
  for (let n = 1 + random.below(3); n > 0; n--) {
    const frame = Buffer.from(mutated[at()] ?? []);
    switch (random.below(8)) {
      case 0:
        mutated.splice(at(), 1);
        break;
      case 1:
        mutated.splice(at(), 0, frame);
        break;
      case 2:
        mutated.splice(at(), 0, random.bytes(random.below(30)));
        break;
      case 3:
        mutated.splice(at(), 1, frame.subarray(0, random.below(frame.length + 1)));
        break;
      case 4:
        mutated.splice(at(), 1, Buffer.concat([frame, frame]));
        break;
      case 5:
        mutated.splice(at(), 1, flipped(frame, random));
        break;
      default:
        return flipped(Buffer.concat(mutated.map(withGrpcPrefix)), random);
    }
  }
  return Buffer.concat(mutated.map(withGrpcPrefix));
}

function flipped(bytes: Buffer, random: SeededRandom): Buffer {
  const copy = Buffer.from(bytes);
  for (let n = 1 + random.below(3); n > 0 && copy.length > 0; n--) copy[random.below(copy.length)] = random.below(256);
  return copy;
}

function cut(bytes: Buffer, random: SeededRandom): Buffer[] {
  const at = random.below(bytes.length + 1);
  return random.below(2) === 0 ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)];
}

/**
 * Sends bytes as a gRPC server's answer, and ends it by a status or by a reset. (An end with neither, grpc-js 1.14 does
 * not tell of until its own side ends.)
 */
function respondWith(stream: ServerHttp2Stream, pieces: Buffer[], random: SeededRandom): void {
  stream.on("error", () => {});
  stream.resume();
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": String(random.below(20)) }));
  for (const piece of pieces) stream.write(piece);
  if (random.below(3) > 0) stream.end();
  else stream.close(random.pick([constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_CANCEL]));
}
