import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  AccessService,
  decodeResponse,
  GrpcClientStream,
  GrpcConnection,
  HeaderSchema,
  Hop,
  Lane,
  methodPath,
  RequestHeadSchema,
  type ResponseFrame,
  WholeRequestSchema,
} from "@fairlead/protocol";

/**
 * Sends one request straight to the identity proxy, as a relay or an agent that checks nothing would.
 *
 * @param socket the identity proxy's Unix socket
 * @param headers as [name, value]
 * @returns the frame that answers: `whole`, `head` or `error`
 */
export async function sendToIdentityProxy(
  socket: string,
  target: string,
  headers: readonly (readonly [string, string])[],
  method = "GET",
): Promise<ResponseFrame["frame"]> {
  const client = new GrpcConnection(() => ({ path: socket }));
  const stream = new GrpcClientStream(client, methodPath(AccessService.method.exchange), {
    peerHop: Hop.IDENTITY_PROXY,
  });
  const lane = new Lane(stream, "requester", Hop.IDENTITY_PROXY);
  const { promise, resolve, reject } = Promise.withResolvers<ResponseFrame["frame"]>();
  lane.start({
    frame: (_field, message) => {
      const frame = decodeResponse(message);
      if (frame.case !== "ready" && frame.case !== "informational") resolve(frame);
    },
    drained: () => {},
    idle: () => lane.end(),
    closed: (error) => reject(error ?? new Error("the lane ended without an answer")),
  });
  const head = create(RequestHeadSchema, {
    exchangeId: Buffer.from(randomUUID().replaceAll("-", ""), "hex"),
    cluster: "testbed",
    method,
    target,
    headers: headers.map(([name, value]) => create(HeaderSchema, { name, value: Buffer.from(value) })),
  });
  lane.sendRequest({ case: "whole", value: create(WholeRequestSchema, { head }) });
  try {
    return await promise;
  } finally {
    client.close();
  }
}
