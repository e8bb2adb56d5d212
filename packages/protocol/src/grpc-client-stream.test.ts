import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { FairleadError } from "./errors.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { GrpcClientStream } from "./grpc-client-stream.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { withGrpcPrefix } from "./grpc-framing.ts";
import { CallFixture, StreamRecord } from "./lane-fixture.ts";

let calls: CallFixture;
beforeAll(async () => {
  calls = await CallFixture.start();
});
afterAll(() => calls.close());

const RESPONSE = { ":status": 200, "content-type": "application/grpc+proto" };

/** A call, and its server's bare http2 stream, which may do anything. */
async function call() {
  const client = new GrpcClientStream(calls.client, "/fairlead.test/Call", { peerHop: Hop.RELAY });
  const record = new StreamRecord();
  client.start(record);
  const http2 = await calls.acceptStream();
  http2.on("error", () => {});
  http2.resume();
  return { client, record, http2 };
}

describe("a gRPC call's client end", () => {
  it("shows its credential as metadata", async () => {
    const reason = new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "the test is over");
    (await calls.open("abc.def")).client.reset(reason);
    expect(calls.lastHeaders).toMatchObject({ ":path": "/fairlead.test/Call", authorization: "Bearer abc.def" });
    (await calls.open()).client.reset(reason);
    expect(calls.lastHeaders.authorization).toBeUndefined();
  });

  it.each([
    [status.CANCELLED, ErrorCode.CANCELLED],
    [status.UNAUTHENTICATED, ErrorCode.TOKEN_REFUSED],
    [status.PERMISSION_DENIED, ErrorCode.ACCESS_DENIED],
    [status.RESOURCE_EXHAUSTED, ErrorCode.LIMIT_EXCEEDED],
    [status.NOT_FOUND, ErrorCode.CLUSTER_UNKNOWN],
    [status.INTERNAL, ErrorCode.PROTOCOL_VIOLATION],
    [status.UNAVAILABLE, ErrorCode.CONNECTION_LOST],
    [status.UNKNOWN, ErrorCode.CONNECTION_LOST],
    [status.DEADLINE_EXCEEDED, ErrorCode.CONNECTION_LOST],
    [status.UNIMPLEMENTED, ErrorCode.CONNECTION_LOST],
  ])("reads the gRPC status %i as the code %i, with the peer's sentence", async (grpc, code) => {
    const { record, http2 } = await call();
    http2.respond({ ...RESPONSE, "grpc-status": String(grpc), "grpc-message": "the%20reason" }, { endStream: true });
    const error = await record.closes.take();
    expect(error).toMatchObject({ code, hop: Hop.RELAY });
    expect(error?.message).toContain("the reason");
  });

  it("takes a stream that ends without a status, by whatever reset, as lost", async () => {
    const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_PROTOCOL_ERROR } = constants;
    for (const code of [NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_PROTOCOL_ERROR]) {
      const { record, http2 } = await call();
      http2.respond(RESPONSE);
      http2.close(code);
      expect([code, await record.closes.take()]).toMatchObject([code, { code: ErrorCode.CONNECTION_LOST }]);
    }
  });

  it("takes an answer that is not gRPC as lost, whatever its status", async () => {
    for (const http of [200, 301, 404, 502]) {
      const { record, http2 } = await call();
      http2.respond({ ":status": http, "content-type": "text/html" });
      http2.end("<h1>It works!</h1>");
      const error = await record.closes.take();
      expect([http, error?.hop]).toEqual([http, Hop.RELAY]);
      expect(record.messages.size).toBe(0);
    }
  });

  it("ends in good order when it has ended its direction, and else the peer's end is a loss", async () => {
    const ended = await call();
    ended.client.end();
    ended.http2.respond({ ...RESPONSE, "grpc-status": "0" }, { endStream: true });
    await ended.record.ends.take();
    expect(await ended.record.closes.take()).toBeUndefined();

    const open = await call();
    open.http2.respond({ ...RESPONSE, "grpc-status": "0" }, { endStream: true });
    await open.record.ends.take();
    expect(await open.record.closes.take()).toMatchObject({ code: ErrorCode.CONNECTION_LOST });
  });

  it("gives no message after it was reset or refused", async () => {
    const gone = new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, "no");
    for (const how of ["reset", "refuse"] as const) {
      const { client, record, http2 } = await call();
      http2.respond(RESPONSE);
      http2.write(withGrpcPrefix(Buffer.from("one")));
      await record.messages.take();
      client[how](gone);
      http2.write(withGrpcPrefix(Buffer.from("two")));
      expect(await record.closes.take()).toBe(gone);
      expect(client.send(Buffer.from("three"))).toBe(true);
      http2.close(constants.NGHTTP2_CANCEL);
      await new Promise((resolve) => (http2.closed && http2.destroyed ? resolve(0) : http2.once("close", resolve)));
      expect([record.messages.size, record.closes.size]).toEqual([0, 0]);
    }
  });

  it("is ended by a message over the limit", async () => {
    const { record, http2 } = await call();
    http2.respond(RESPONSE);
    http2.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]));
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION });
  });

  it("to a port where nobody listens is lost", async () => {
    const client = new GrpcConnection(() => ({ host: "127.0.0.1", port: 1 }));
    const stream = new GrpcClientStream(client, "/fairlead.test/Call", { peerHop: Hop.IDENTITY_PROXY });
    const record = new StreamRecord();
    stream.start(record);
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.IDENTITY_PROXY });
    client.close();
  });
});
