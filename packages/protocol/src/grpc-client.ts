import type { DescMethod } from "@bufbuild/protobuf";
import { type ChannelCredentials, Client, type ClientOptions } from "@grpc/grpc-js";
import { LANE_WINDOW_BYTES } from "./http2-settings.ts";
import { MAX_MESSAGE_BYTES } from "./limits.ts";

const OPTIONS: ClientOptions = {
  "grpc-node.flow_control_window": LANE_WINDOW_BYTES,
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  // A peer that vanished without a word is noticed after 15 s at most.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  // Backing off from a peer is its owner's business, who also has jitter: the channel itself tries at once.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.min_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 250,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
};

/**
 * A grpc-js client for lanes: one connection to one peer.
 *
 * @param target `host:port` or `unix:PATH`
 * @param credentials TLS, or none on a Unix socket
 */
export function makeGrpcClient(target: string, credentials: ChannelCredentials): Client {
  return new Client(target, credentials, OPTIONS);
}

/** The path of a method, as gRPC over HTTP/2 has it. */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}
