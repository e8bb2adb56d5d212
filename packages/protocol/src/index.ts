export { answerCredential, sendCredential } from "./credential.ts";
export { type ErrorMapping, errorMapping } from "./error-table.ts";
export { errorCodeName, FairleadError, hopName, MAY_HAVE_BEEN_CARRIED_OUT, stopped } from "./errors.ts";
export { exchangeIdText, newExchangeId } from "./exchange-id.ts";
export { FrameStream, type FrameStreamEvents } from "./frame-stream.ts";
export * from "./gen/fairlead/client/v1alpha1/client_proxy_service_pb.ts";
export * from "./gen/fairlead/cluster/v1alpha1/access_rule_service_pb.ts";
export * from "./gen/fairlead/cluster/v1alpha1/caller_service_pb.ts";
export * from "./gen/fairlead/cluster/v1alpha1/cluster_service_pb.ts";
export { AccessService } from "./gen/fairlead/tunnel/v1alpha1/access_service_pb.ts";
export { type AttachmentEnd, AttachmentEndSchema } from "./gen/fairlead/tunnel/v1alpha1/attachment_pb.ts";
export * from "./gen/fairlead/tunnel/v1alpha1/enrolment_service_pb.ts";
export {
  type Error as ErrorMessage,
  ErrorCode,
  ErrorSchema,
  Hop,
} from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
export * from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
export * from "./gen/fairlead/tunnel/v1alpha1/identity_proxy_service_pb.ts";
export * from "./gen/fairlead/tunnel/v1alpha1/relay_service_pb.ts";
export * from "./gen/fairlead/tunnel/v1alpha1/tunnel_service_pb.ts";
export { type CallOptions, GrpcClientStream } from "./grpc-client-stream.ts";
export { GrpcConnection } from "./grpc-connection.ts";
export { GrpcServerStream } from "./grpc-server-stream.ts";
export { connectThrough, type HttpProxy, proxyFor } from "./http-proxy.ts";
export { LANE_SERVER_OPTIONS } from "./http2-settings.ts";
export { IDLE_LANES, IdleLanes } from "./idle-lanes.ts";
export { IdleSessions } from "./idle-sessions.ts";
export { decodeRequest, decodeResponse, Lane, type LaneEvents } from "./lane.ts";
export { LANE_WAY_METADATA } from "./lane-way.ts";
export { LateSocket } from "./late-socket.ts";
export * from "./limits.ts";
export type { MessageStream, MessageStreamEvents } from "./message-stream.ts";
export { methodPath } from "./method-path.ts";
export { Patience } from "./patience.ts";
export { hostAndPortOf, type PeerAddress, serverNameOf } from "./peer-address.ts";
export { receiveWindows } from "./receive-windows.ts";
export { requestHeadOf } from "./request-head.ts";
export { failExchange, type SpliceOptions, splice } from "./splice.ts";
export { streamPair } from "./stream-pair.ts";
export { onOwnConnection, unaryCall } from "./unary-call.ts";
export { isOlder, isVersion } from "./version.ts";
