import { constants, type Http2Stream, type ServerHttp2Stream } from "node:http2";
import { errorMapping } from "./error-table.ts";
import { FairleadError } from "./errors.ts";
import { ErrorCode, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { GrpcStream } from "./grpc-stream.ts";
import type { MessageStreamEvents } from "./message-stream.ts";

/** The server's end of a bidirectional gRPC call. Every stock gRPC client can be the other end. */
export class GrpcServerStream extends GrpcStream {
  readonly #stream: ServerHttp2Stream;
  readonly #session: ServerHttp2Stream["session"];
  #status: { code: number; message: string } = { code: 0, message: "" };

  /**
   * @param stream a stream whose request headers were read and judged; nothing was answered on it yet
   * @param peerHop the hop at the other end, named when the stream breaks
   */
  constructor(stream: ServerHttp2Stream, peerHop: Hop) {
    super(peerHop);
    this.#stream = stream;
    this.#session = stream.session;
    stream.on("wantTrailers", () => stream.sendTrailers(this.#trailers()));
    this.carry(stream);
  }

  override start(events: MessageStreamEvents): void {
    super.start(events);
    if (!this.#stream.destroyed) this.#respond();
  }

  reset(reason: FairleadError): void {
    this.ended = true;
    // Not in the turn that read the peer's end: with an answer queued in that turn, node 24 would write empty DATA
    // frames for ever, in native code, until it is out of memory.
    setImmediate(() => this.#stream.close(constants.NGHTTP2_CANCEL));
    this.close(reason);
  }

  /** The peer reads the reason as gRPC status. */
  refuse(reason: FairleadError): void {
    this.#status = { code: errorMapping(reason.code).grpc, message: reason.message };
    if (!this.#stream.headersSent && !this.#stream.destroyed) this.#respond();
    this.end();
    this.#stream.resume(); // what still comes is thrown away, so that the call can close
    this.close(reason);
  }

  protected endedWell(stream: Http2Stream): boolean {
    return !stream.aborted;
  }

  protected outcome(): FairleadError | undefined {
    const well = this.ended && this.peerEnded && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR;
    return well ? undefined : this.#lost();
  }

  #respond(): void {
    this.#stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  }

  #lost(): FairleadError {
    // node resets the streams of a connection that is lost with CANCEL too.
    const cancelled = this.#stream.rstCode === constants.NGHTTP2_CANCEL && this.#session?.destroyed === false;
    return cancelled
      ? new FairleadError(ErrorCode.CANCELLED, this.peerHop, "the call was cancelled by its peer")
      : new FairleadError(ErrorCode.CONNECTION_LOST, this.peerHop, "the connection was lost");
  }

  #trailers(): Record<string, string> {
    const { code, message } = this.#status;
    return { "grpc-status": String(code), ...(message && { "grpc-message": percentEncoded(message) }) };
  }
}

/**
 * Status-Message as gRPC over HTTP/2 has it: printable ASCII but for `%` stays. More must not be encoded, since grpc-js
 * decodes it by `decodeURI`, which leaves `%2C` and the like. A blank at an end would be no valid header value.
 */
function percentEncoded(message: string): string {
  return message.replace(/[^\x20-\x24\x26-\x7e]+|^ +| +$/g, encodeURIComponent);
}
