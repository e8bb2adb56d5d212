import { ErrorCode } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";

/** What a code is called in the three vocabularies that meet here. */
export interface ErrorMapping {
  /** gRPC status code (google.golang.org/grpc/codes). */
  grpc: number;
  /** HTTP status. */
  http: number;
  /** `reason` of a Kubernetes Status (k8s.io/apimachinery/pkg/apis/meta/v1, StatusReason). */
  reason: string;
}

/**
 * The one table that maps our codes outward.
 *
 * A cluster that is unknown or an agent that is away is 503 and never 404: kubectl takes a 404 in discovery for an
 * empty API and then says "the server doesn't have a resource type" (client-go, discovery_client.go).
 */
const TABLE: Record<ErrorCode, ErrorMapping> = {
  [ErrorCode.UNSPECIFIED]: { grpc: 2, http: 500, reason: "InternalError" },
  [ErrorCode.MALFORMED_REQUEST]: { grpc: 3, http: 400, reason: "BadRequest" },
  [ErrorCode.HEAD_TOO_LARGE]: { grpc: 3, http: 431, reason: "RequestHeaderFieldsTooLarge" },
  [ErrorCode.TOKEN_REFUSED]: { grpc: 16, http: 401, reason: "Unauthorized" },
  [ErrorCode.ACCESS_DENIED]: { grpc: 7, http: 403, reason: "Forbidden" },
  [ErrorCode.CLUSTER_UNKNOWN]: { grpc: 5, http: 503, reason: "ServiceUnavailable" },
  [ErrorCode.AGENT_NOT_CONNECTED]: { grpc: 14, http: 503, reason: "ServiceUnavailable" },
  [ErrorCode.UNREACHABLE]: { grpc: 14, http: 503, reason: "ServiceUnavailable" },
  [ErrorCode.CONNECTION_LOST]: { grpc: 14, http: 502, reason: "BadGateway" },
  [ErrorCode.TIMED_OUT]: { grpc: 4, http: 504, reason: "Timeout" },
  [ErrorCode.LIMIT_EXCEEDED]: { grpc: 8, http: 429, reason: "TooManyRequests" },
  [ErrorCode.ISSUER_UNAVAILABLE]: { grpc: 14, http: 503, reason: "ServiceUnavailable" },
  [ErrorCode.OWN_CREDENTIAL_REFUSED]: { grpc: 13, http: 502, reason: "BadGateway" },
  [ErrorCode.PROTOCOL_VIOLATION]: { grpc: 13, http: 502, reason: "BadGateway" },
  [ErrorCode.CANCELLED]: { grpc: 1, http: 499, reason: "ClientClosedRequest" },
  [ErrorCode.DRAINING]: { grpc: 14, http: 503, reason: "ServiceUnavailable" },
  [ErrorCode.INTERNAL]: { grpc: 13, http: 500, reason: "InternalError" },
  [ErrorCode.ALREADY_EXISTS]: { grpc: 6, http: 409, reason: "AlreadyExists" },
  [ErrorCode.VERSION_TOO_OLD]: { grpc: 9, http: 502, reason: "BadGateway" },
};

/** Looks up a code; one that this version does not know counts as INTERNAL. */
export function errorMapping(code: ErrorCode): ErrorMapping {
  return TABLE[code] ?? TABLE[ErrorCode.INTERNAL];
}
