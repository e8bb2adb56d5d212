import { type ClientHttp2Stream, constants, type Http2Stream, type IncomingHttpHeaders } from "node:http2";
import { FairleadError } from "./errors.ts";
import { ErrorCode, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import type { GrpcConnection, StreamRequest } from "./grpc-connection.ts";
import { GrpcStream } from "./grpc-stream.ts";

/** How to open a call. */
export interface CallOptions {
  /** Bearer credential for the `authorization` metadata; none if not set. */
  token?: string;
  /** The hop at the other end, named when the call breaks. */
  peerHop: Hop;
  /** More metadata: names in lower case, values in printable ASCII. */
  metadata?: Readonly<Record<string, string>>;
}

/** The client's end of a bidirectional gRPC call. Every stock gRPC server can be the other end. */
export class GrpcClientStream extends GrpcStream {
  readonly #connection: GrpcConnection;
  readonly #request: StreamRequest;
  #answer: IncomingHttpHeaders = {};
  #session: ClientHttp2Stream["session"];
  #cause: Error | undefined;

  /**
   * @param connection the connection to the peer; the call waits for it
   * @param path the method's path, `/package.Service/Method`
   * @param options the credential and the peer
   */
  constructor(connection: GrpcConnection, path: string, options: CallOptions) {
    super(options.peerHop);
    this.#connection = connection;
    const headers = {
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc+proto",
      te: "trailers",
      ...options.metadata,
      ...(options.token !== undefined && { authorization: `Bearer ${options.token}` }),
    };
    this.#request = {
      headers,
      opened: (stream) => {
        stream.on("response", (answer) => this.#onResponse(answer));
        stream.on("trailers", (trailers) => Object.assign(this.#answer, trailers));
        stream.on("error", (cause) => {
          this.#cause = cause;
        });
        this.#session = stream.session;
        this.carry(stream);
      },
      failed: (cause) => this.close(this.#lost(cause.message, cause)),
    };
    connection.request(this.#request);
  }

  /** The peer sees a cancelled call. */
  reset(reason: FairleadError): void {
    this.ended = true;
    this.close(reason);
    this.#connection.withdraw(this.#request);
    this.stream?.close(constants.NGHTTP2_CANCEL);
  }

  /** A client has no status to send: it ends its direction, and the peer ends the call when it sees that. */
  refuse(reason: FairleadError): void {
    this.end();
    this.stream?.resume(); // what still comes is thrown away
    this.close(reason);
  }

  protected endedWell(): boolean {
    return this.#answer["grpc-status"] === "0";
  }

  protected outcome(stream: Http2Stream): FairleadError | undefined {
    const { "grpc-status": status, "grpc-message": message = "" } = this.#answer;
    if (status === "0" && this.ended && this.peerEnded) return undefined;
    if (status === "0") return this.#lost("the peer ended the call");
    if (status === undefined) return this.#cut(stream);
    const code = CODES.get(String(status));
    const sentence = percentDecoded(String(message));
    return code === undefined ? this.#lost(sentence) : new FairleadError(code, this.peerHop, sentence);
  }

  /** A server's status ends the call, whatever we had still to say. */
  protected override afterPeerEnd(stream: Http2Stream): void {
    if (this.#answer["grpc-status"] === undefined || (this.ended && this.peerEnded)) return; // "close" follows and tells
    this.close(this.outcome(stream));
    stream.close(constants.NGHTTP2_CANCEL);
  }

  #onResponse(answer: IncomingHttpHeaders): void {
    this.#answer = answer;
    const type = String(answer["content-type"] ?? "");
    if (Number(answer[":status"]) === 200 && /^application\/grpc(\+proto)?$/.test(type)) return;
    this.close(this.#lost(`the peer answers HTTP ${answer[":status"]} and ${type || "no type"}, which is not gRPC`));
    this.stream?.close(constants.NGHTTP2_CANCEL);
  }

  /** The call ended without a status. node resets the streams of a connection that is lost with CANCEL too. */
  #cut(stream: Http2Stream): FairleadError {
    const cancelled = stream.rstCode === constants.NGHTTP2_CANCEL && this.#session?.destroyed === false;
    return cancelled
      ? new FairleadError(ErrorCode.CANCELLED, this.peerHop, "the call was cancelled by its peer")
      : this.#lost(this.#cause?.message ?? "it ended without a status", this.#cause);
  }

  #lost(reason: string, cause?: Error): FairleadError {
    const sentence = `the connection was lost: ${reason}`;
    return new FairleadError(ErrorCode.CONNECTION_LOST, this.peerHop, sentence, { cause });
  }
}

/** Status-Message as gRPC over HTTP/2 has it; one that cannot be decoded is shown as it is. */
function percentDecoded(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

/** What a gRPC status says when a call ends without an Error message of ours (grpc, doc/statuscodes.md). */
const CODES = new Map([
  ["1", ErrorCode.CANCELLED],
  ["5", ErrorCode.CLUSTER_UNKNOWN],
  ["7", ErrorCode.ACCESS_DENIED],
  ["8", ErrorCode.LIMIT_EXCEEDED],
  ["9", ErrorCode.VERSION_TOO_OLD],
  ["13", ErrorCode.PROTOCOL_VIOLATION],
  ["16", ErrorCode.TOKEN_REFUSED],
]);
