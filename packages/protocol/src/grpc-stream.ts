import type { Http2Stream } from "node:http2";
import { FairleadError } from "./errors.ts";
import { ErrorCode, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { GrpcMessageReader, withGrpcPrefix } from "./grpc-framing.ts";
import { MAX_MESSAGE_BYTES } from "./limits.ts";
import type { MessageStream, MessageStreamEvents } from "./message-stream.ts";
import { ReadOn } from "./read-on.ts";
import { receiveWindows } from "./receive-windows.ts";

/** How long a message may stay incomplete without another byte of it, in milliseconds. */
const COMPLETION_MS = 10_000;

/**
 * What both ends of a bidirectional gRPC call have alike, straight on an http2 stream of node's: gRPC's five-byte
 * framing, the queue of node's stream as the one bound of what is unsent, and the end of it all, told once.
 */
export abstract class GrpcStream implements MessageStream {
  protected readonly peerHop: Hop;
  protected ended = false;
  protected peerEnded = false;
  readonly #reader = new GrpcMessageReader(MAX_MESSAGE_BYTES);
  #stream: Http2Stream | undefined;
  /** Of the connection, at its client's end. */
  #readOn: ReadOn | undefined;
  #events: MessageStreamEvents | undefined;
  #completion: NodeJS.Timeout | undefined;
  #early: Buffer[] = [];
  #paused = false;
  #closed: { error: FairleadError | undefined } | undefined;

  constructor(peerHop: Hop) {
    this.peerHop = peerHop;
  }

  abstract reset(reason: FairleadError): void;
  abstract refuse(reason: FairleadError): void;
  /** Whether the end of what the peer sent is an end in good order. */
  protected abstract endedWell(stream: Http2Stream): boolean;
  /** The peer says no more; the owner has heard of it. */
  protected afterPeerEnd(_stream: Http2Stream): void {}
  /** How the call ended, when its http2 stream has closed; undefined: in good order. */
  protected abstract outcome(stream: Http2Stream): FairleadError | undefined;

  protected get stream(): Http2Stream | undefined {
    return this.#stream;
  }

  start(events: MessageStreamEvents): void {
    this.#events = events;
    const closed = this.#closed;
    if (closed) setImmediate(() => events.closed(closed.error));
    else if (this.#stream) this.#flow(this.#stream);
  }

  send(message: Uint8Array): boolean {
    if (this.ended || this.#closed) return true;
    const framed = withGrpcPrefix(message);
    if (this.#stream) return this.#write(this.#stream, framed);
    this.#early.push(framed); // few: the owner is told to wait until the stream is there
    return false;
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#stream?.end();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
    this.#expectCompletion();
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.resume();
    this.#readOn?.lookSoon();
    this.#expectCompletion();
  }

  /** Takes the http2 stream in, which may come after the owner's first words. */
  protected carry(stream: Http2Stream): void {
    this.#stream = stream;
    this.#readOn = ReadOn.of(stream.session);
    stream.on("error", () => {}); // "close" follows and tells
    stream.on("close", () => this.close(this.outcome(stream)));
    if (this.#events) this.#flow(stream);
  }

  /** Tells the owner that the call is over. */
  protected close(error?: FairleadError): void {
    if (this.#closed) return;
    this.#closed = { error };
    clearTimeout(this.#completion);
    this.#events?.closed(error);
  }

  #flow(stream: Http2Stream): void {
    const { session } = stream;
    stream.on("data", (chunk: Buffer) => {
      receiveWindows.received(session, chunk.length);
      this.#readOn?.received(chunk.length);
      this.#read(chunk);
    });
    stream.on("drain", () => this.#events?.drained());
    stream.on("end", () => this.#onEnd(stream));
    if (this.#paused) stream.pause();
    const early = this.#early;
    this.#early = [];
    for (const framed of early) this.#write(stream, framed);
    if (this.ended) stream.end();
    else if (early.length > 0 && !stream.writableNeedDrain) this.#events?.drained();
  }

  #write(stream: Http2Stream, framed: Buffer): boolean {
    this.#readOn?.sent(stream);
    return stream.write(framed);
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

  /** A message that has begun holds memory: it has to be complete within a time, unless it is we who do not read. */
  #expectCompletion(): void {
    if (this.#paused || !this.#reader.incomplete) {
      clearTimeout(this.#completion);
      this.#completion = undefined;
    } else if (this.#completion) this.#completion.refresh();
    else this.#completion = setTimeout(() => this.#violation("a message was not completed in time"), COMPLETION_MS);
  }

  #onEnd(stream: Http2Stream): void {
    if (this.endedWell(stream)) {
      if (this.#reader.incomplete) return this.#violation("the stream ends within a message");
      this.peerEnded = true;
      if (!this.#closed) this.#events?.ended();
    }
    this.afterPeerEnd(stream);
  }

  #violation(what: string): void {
    this.refuse(new FairleadError(ErrorCode.PROTOCOL_VIOLATION, this.peerHop, `gRPC framing: ${what}`));
  }
}
