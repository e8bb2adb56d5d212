import { constants, type ServerHttp2Stream } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { fc, fuzz, mutated } from "@fairlead/fuzzing";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { FairleadError } from "./errors.ts";
import { Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { RequestFrameSchema, ResponseFrameSchema } from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { GrpcClientStream } from "./grpc-client-stream.ts";
import { withGrpcPrefix } from "./grpc-framing.ts";
import { decodeRequest, decodeResponse, Lane } from "./lane.ts";
import { CallFixture, LaneRecord, Mailbox, requestMessage, responseMessage } from "./lane-fixture.ts";

/** How often there are up to so many lanes at once. */
const ROUNDS = 20;
const AT_ONCE = 50;

/** What a peer sends on a lane, and how it ends. */
interface Peer {
  pieces: Buffer[];
  isReset: boolean;
  grpcStatus: number;
}

/** What a lane of ours does at each frame of a request: answers it, or waits until its end is there. */
type Answer = "wait" | "whole" | "error" | "in pieces";

const thrown: unknown[] = [];
const onThrown = (error: unknown): number => thrown.push(error);
beforeAll(() => {
  process.on("uncaughtException", onThrown);
  process.on("unhandledRejection", onThrown);
});
afterAll(() => {
  process.off("uncaughtException", onThrown);
  process.off("unhandledRejection", onThrown);
});

describe("lanes whose peer sends mutated frames", () => {
  it("end once each as a server's lane, and the lane beside them lives on", async () => {
    const serve = async (calls: CallFixture, [peer, answers]: [Peer, Answer[]]): Promise<void> => {
      const { client, server } = await calls.openRaw();
      const lane = new Lane(server, "server", Hop.AGENT);
      const closes = new Mailbox<FairleadError | undefined>();
      const left = [...answers];
      lane.start({
        frame: (field, message) => {
          decodeRequest(message);
          answer(lane, field, left);
        },
        drained: () => {},
        idle: () => {},
        closed: (error) => closes.put(error),
      });
      lane.sendReady();
      for (const piece of peer.pieces) client.write(piece);
      if (peer.isReset) client.close(constants.NGHTTP2_CANCEL);
      else client.end();
      await closes.take();
      expect(closes.size).toBe(0);
      client.close();
    };
    const answers = fc.array(fc.constantFrom<Answer[]>("wait", "wait", "whole", "error", "in pieces"), {
      maxLength: 8,
    });
    await fuzz(ROUNDS, besideAHealthyLane(fc.tuple(peers(requests), answers), serve));
  });

  it("end once each as a requester's lane, and the lane beside them lives on", async () => {
    const request = async (calls: CallFixture, [peer, asked]: [Peer, "head" | "whole"]): Promise<void> => {
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
      lane.sendMessage(requestMessage(asked));
      respondWith(stream, peer);
      await closes.take();
      expect(closes.size).toBe(0);
    };
    const asked = fc.constantFrom("head" as const, "whole" as const);
    await fuzz(ROUNDS, besideAHealthyLane(fc.tuple(peers(responses), asked), request));
  });
});

/**
 * Several lanes at once, and one whose peer does well on the same connections. They are new in each round: a server ends
 * a connection with more than 1,000 resets and 33 more a second (nghttp2, rapid reset).
 */
function besideAHealthyLane<Plan>(plan: fc.Arbitrary<Plan>, run: (calls: CallFixture, plan: Plan) => Promise<void>) {
  const plans = fc.array(plan, { minLength: 1, maxLength: AT_ONCE, size: "max" });
  return fc.asyncProperty(plans, async (all) => {
    const calls = await CallFixture.start();
    try {
      const bystander = await healthyLane(calls);
      await atOnce(all, (each) => run(calls, each));
      await bystander();
      expect(thrown).toEqual([]);
    } finally {
      await calls.close();
    }
  });
}

/** Runs a case for each plan. Opening a call is told apart by its order, so the cases open one by one. */
async function atOnce<Plan>(plans: readonly Plan[], run: (plan: Plan) => Promise<void>): Promise<void> {
  const cases: Promise<void>[] = [];
  for (const plan of plans) {
    cases.push(run(plan));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(cases);
}

/** A lane of the same connections; the returned function carries an exchange over it. */
async function healthyLane(calls: CallFixture): Promise<() => Promise<void>> {
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
function answer(lane: Lane, field: number, left: Answer[]): void {
  const { whole, end, credential } = RequestFrameSchema.field;
  const ended = [whole, end, credential].some(({ number }) => number === field);
  if (lane.answered && lane.inExchange) return;
  const how = left.shift() ?? "wait";
  if (how === "wait" && !ended) return;
  if (how === "whole" || how === "error") return void lane.sendMessage(responseMessage(how));
  for (const name of ["head", "data", "end"] as const) lane.sendMessage(responseMessage(name));
}

const someBytes = fc.array(fc.nat({ max: 255 }), { maxLength: 30 });

const requests: fc.Arbitrary<Uint8Array[]> = exchanges(
  fc.constantFrom([requestMessage("whole")], [requestMessage("credential")]),
  bodyOf((data) => toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame: data }))).map((body) => [
    requestMessage("head"),
    ...body,
    requestMessage("end"),
  ]),
);

const responses: fc.Arbitrary<Uint8Array[]> = exchanges(
  fc.constant([responseMessage("informational"), responseMessage("whole")]),
  fc
    .tuple(
      bodyOf((data) => toBinary(ResponseFrameSchema, create(ResponseFrameSchema, { frame: data }))),
      fc.constantFrom(responseMessage("end"), responseMessage("error")),
    )
    .map(([body, end]) => [responseMessage("head"), ...body, end]),
).map((frames) => [responseMessage("ready"), ...frames]);

function exchanges(...kinds: fc.Arbitrary<Uint8Array[]>[]): fc.Arbitrary<Uint8Array[]> {
  return fc.array(fc.oneof(...kinds), { minLength: 1, maxLength: 3 }).map((all) => all.flat());
}

function bodyOf(
  write: (frame: { case: "data"; value: { data: Uint8Array } }) => Uint8Array,
): fc.Arbitrary<Uint8Array[]> {
  const frame = fc.uint8Array({ maxLength: 40 }).map((data) => write({ case: "data", value: { data } }));
  return fc.array(frame, { maxLength: 2 });
}

/** A peer that mutates the order of its frames, the bytes of frames, or the bytes of gRPC's framing. */
function peers(frames: fc.Arbitrary<Uint8Array[]>): fc.Arbitrary<Peer> {
  const oneFrame = frames.map((all) => [...(all.at(-1) ?? [])]);
  const odd = fc.oneof(someBytes, mutated(oneFrame, someBytes)).map((bytes) => [Uint8Array.from(bytes)]);
  const reordered = mutated(frames, fc.oneof(odd, frames));
  const framed = (all: readonly Uint8Array[]): number[] => [...Buffer.concat(all.map(withGrpcPrefix))];
  const sent = fc.oneof(reordered.map(framed), mutated(frames.map(framed), someBytes));
  return fc
    .record({ sent, cutAt: fc.nat(), isReset: fc.boolean(), grpcStatus: fc.nat({ max: 20 }) })
    .map(({ sent: bytes, cutAt, ...end }) => ({ pieces: cut(Buffer.from(bytes), cutAt), ...end }));
}

function cut(bytes: Buffer, cutAt: number): Buffer[] {
  const at = cutAt % (bytes.length + 1);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

/**
 * Sends bytes as a gRPC server's answer, and ends it by a status or by a reset. (An end with neither, grpc-js 1.14 does
 * not tell of until its own side ends.)
 */
function respondWith(stream: ServerHttp2Stream, { pieces, isReset, grpcStatus }: Peer): void {
  stream.on("error", () => {});
  stream.resume();
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": String(grpcStatus) }));
  for (const piece of pieces) stream.write(piece);
  if (isReset) stream.close(grpcStatus % 2 === 0 ? constants.NGHTTP2_INTERNAL_ERROR : constants.NGHTTP2_CANCEL);
  else stream.end();
}
