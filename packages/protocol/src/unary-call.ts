import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FairleadError } from "./errors.ts";
import { ErrorCode } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { type CallOptions, GrpcClientStream } from "./grpc-client-stream.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { methodPath } from "./method-path.ts";
import type { PeerAddress } from "./peer-address.ts";

/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 15_000;

/** Makes calls over a connection of their own, which is closed behind them. */
export async function onOwnConnection<T>(
  peer: () => PeerAddress,
  call: (connection: GrpcConnection) => Promise<T>,
): Promise<T> {
  const connection = new GrpcConnection(peer);
  try {
    return await call(connection);
  } finally {
    connection.close();
  }
}

/**
 * Makes one unary call over a connection for lanes, and so through the same HTTP proxy and with the same TLS.
 *
 * @throws FairleadError what the peer answers; CONNECTION_LOST if it does not, TIMED_OUT after 15 s
 */
export async function unaryCall<Input extends DescMessage, Output extends DescMessage>(
  connection: GrpcConnection,
  method: DescMethodUnary<Input, Output>,
  request: MessageInitShape<Input>,
  options: CallOptions,
): Promise<MessageShape<Output>> {
  const { promise, resolve, reject } = Promise.withResolvers<MessageShape<Output>>();
  const call = new GrpcClientStream(connection, methodPath(method), options);
  const late = new FairleadError(ErrorCode.TIMED_OUT, options.peerHop, `no answer within ${ANSWER_MS / 1_000} s`);
  const timer = setTimeout(() => call.reset(late), ANSWER_MS);
  let answer: Uint8Array | undefined;
  call.start({
    message: (message) => {
      answer ??= message;
    },
    ended: () => {},
    drained: () => {},
    closed: (error) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve(fromBinary(method.output, answer ?? new Uint8Array()));
    },
  });
  call.send(toBinary(method.input, create(method.input, request)));
  call.end();
  return promise;
}
