import { constants, type ServerHttp2Stream } from "node:http2";
import { errorMapping } from "./error-table.ts";
import { FairleadError } from "./errors.ts";
import { ErrorCode, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { GrpcMessageReader, withGrpcPrefix } from "./grpc-framing.ts";
import { MAX_MESSAGE_BYTES } from "./limits.ts";
import type { MessageStream, MessageStreamEvents } from "./message-stream.ts";

/** How long a message may stay incomplete without another byte of it, in milliseconds. */
const COMPLETION_MS = 10_000;

/**
 * The server's end of a bidirectional gRPC call, straight on an http2 stream of node's: gRPC's five-byte framing and
 * its trailers, nothing else. Every stock gRPC client can be the other end.
 *
 * @param stream a stream whose request headers were read and judged; nothing was answered on it yet
 * @param peerHop the hop at the other end, named when the stream breaks
 */
export class GrpcServerStream implements MessageStream {
  readonly #stream: ServerHttp2Stream;
  readonly #session: ServerHttp2Stream["session"];
  readonly #peerHop: Hop;
  readonly #reader = new GrpcMessageReader(MAX_MESSAGE_BYTES);
  #events: MessageStreamEvents | undefined;
  #peerEnded = false;
  #ended = false;
  #closed = false;
  #completion: NodeJS.Timeout | undefined;
  #status: { code: number; message: string } = { code: 0, message: "" };

  constructor(stream: ServerHttp2Stream, peerHop: Hop) {
    this.#stream = stream;
    this.#session = stream.session;
    this.#peerHop = peerHop;
    stream.on("error", () => {}); // "close" follows and tells
    stream.on("wantTrailers", () => stream.sendTrailers(this.#trailers()));
  }

  start(events: MessageStreamEvents): void {
    this.#events = events;
    const stream = this.#stream;
    if (stream.destroyed) return void setImmediate(() => this.#close(this.#lost()));
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("drain", () => events.drained());
    stream.on("end", () => this.#onEnd());
    stream.on("close", () => this.#close(this.#endedWell() ? undefined : this.#lost()));
  }

  send(message: Uint8Array): boolean {
    if (this.#ended || this.#stream.destroyed) return true;
    return this.#stream.write(withGrpcPrefix(message));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.end();
  }

  reset(reason: FairleadError): void {
    this.#ended = true;
    // Not in the turn that read the peer's end: with an answer queued in that turn, node 24 would write empty DATA
    // frames for ever, in native code, until it is out of memory.
    setImmediate(() => this.#stream.close(constants.NGHTTP2_CANCEL));
    this.#close(reason);
  }

  refuse(reason: FairleadError): void {
    this.#status = { code: errorMapping(reason.code).grpc, message: reason.message };
    if (!this.#stream.headersSent && !this.#stream.destroyed) {
      this.#stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    }
    this.end();
    this.#stream.resume(); // what still comes is thrown away, so that the call can close
    this.#close(reason);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  #read(chunk: Buffer): void {
    if (this.#closed) return;
    const messages = this.#reader.read(chunk);
    this.#expectCompletion();
    if (typeof messages === "string") return this.#violation(`a message is ${messages}`);
    for (const message of messages) {
      if (this.#closed) return;
      this.#events?.message(message);
    }
  }

  /** A message that has begun holds memory: it has to be complete within a time. */
  #expectCompletion(): void {
    clearTimeout(this.#completion);
    if (!this.#reader.incomplete) return;
    this.#completion = setTimeout(() => this.#violation("a message was not completed in time"), COMPLETION_MS);
  }

  #onEnd(): void {
    if (this.#stream.aborted) return; // node ends the readable side of a lost stream too; "close" follows and tells
    if (this.#reader.incomplete) return this.#violation("the stream ends within a message");
    this.#peerEnded = true;
    if (!this.#closed) this.#events?.ended();
  }

  #violation(what: string): void {
    this.refuse(new FairleadError(ErrorCode.PROTOCOL_VIOLATION, this.#peerHop, `gRPC framing: ${what}`));
  }

  #endedWell(): boolean {
    return this.#ended && this.#peerEnded && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR;
  }

  #lost(): FairleadError {
    // node resets the streams of a connection that is lost with CANCEL too.
    const cancelled = this.#stream.rstCode === constants.NGHTTP2_CANCEL && this.#session?.destroyed === false;
    return cancelled
      ? new FairleadError(ErrorCode.CANCELLED, this.#peerHop, "the call was cancelled by its peer")
      : new FairleadError(ErrorCode.CONNECTION_LOST, this.#peerHop, "the connection was lost");
  }

  #close(error?: FairleadError): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#completion);
    this.#events?.closed(error);
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
