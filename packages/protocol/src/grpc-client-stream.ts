import { type Client, type ClientDuplexStream, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { FairleadError } from "./errors.ts";
import { ErrorCode, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import type { MessageStream, MessageStreamEvents } from "./message-stream.ts";

const identity = (bytes: Buffer): Buffer => bytes;

/** How to open a call. */
export interface CallOptions {
  /** Bearer credential for the `authorization` metadata; none if not set. */
  token?: string;
  /** The hop at the other end, named when the call breaks. */
  peerHop: Hop;
}

/** The client's end of a bidirectional gRPC call, on grpc-js, which carries the messages as they are. */
export class GrpcClientStream implements MessageStream {
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #peerHop: Hop;
  #events: MessageStreamEvents | undefined;
  #ended = false;
  #peerEnded = false;
  #ok: StatusObject | undefined;
  #closed = false;

  /**
   * @param client a grpc-js client of the peer
   * @param path the method's path, `/package.Service/Method`
   * @param options the credential and the peer
   */
  constructor(client: Client, path: string, options: CallOptions) {
    const metadata = new Metadata();
    if (options.token !== undefined) metadata.set("authorization", `Bearer ${options.token}`);
    this.#peerHop = options.peerHop;
    this.#call = client.makeBidiStreamRequest(path, identity, identity, metadata);
    this.#call.on("error", () => {}); // "status" follows and tells
    this.#call.on("status", (end) => this.#onStatus(end));
  }

  start(events: MessageStreamEvents): void {
    this.#events = events;
    this.#call.on("data", (message: Buffer) => {
      if (!this.#closed) events.message(message);
    });
    this.#call.on("drain", () => events.drained());
    this.#call.on("end", () => {
      this.#peerEnded = true;
      if (!this.#closed) events.ended();
      if (this.#ok) this.#close(this.#outcome(this.#ok));
    });
  }

  send(message: Uint8Array): boolean {
    if (this.#ended || this.#closed) return true;
    return this.#call.write(Buffer.from(message.buffer, message.byteOffset, message.length));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#call.end();
  }

  reset(reason: FairleadError): void {
    this.#close(reason);
    this.#call.cancel();
  }

  refuse(reason: FairleadError): void {
    this.end();
    this.#call.resume(); // what still comes is thrown away; the peer ends the call when it sees our end
    this.#close(reason);
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  /** grpc-js tells OK when the last message has come, which may be long before a slow reader has read it. */
  #onStatus(end: StatusObject): void {
    if (end.code === status.OK && !this.#peerEnded) this.#ok = end;
    else this.#close(this.#outcome(end));
  }

  #outcome(end: StatusObject): FairleadError | undefined {
    if (end.code === status.OK && this.#ended) return undefined;
    const code = end.details.startsWith(NO_STATUS) ? ErrorCode.CONNECTION_LOST : CODES.get(end.code);
    if (code !== undefined) return new FairleadError(code, this.#peerHop, end.details);
    const reason = end.code === status.OK ? "the peer ended the call" : end.details;
    return new FairleadError(ErrorCode.CONNECTION_LOST, this.#peerHop, `the connection was lost: ${reason}`);
  }

  #close(error?: FairleadError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events?.closed(error);
  }
}

/** How grpc-js begins the details of an INTERNAL that no server sent: the stream was reset (subchannel-call.js). */
const NO_STATUS = "Received RST_STREAM";

/** What a gRPC status says when a call ends without an Error message of ours. */
const CODES = new Map<status, ErrorCode>([
  [status.CANCELLED, ErrorCode.CANCELLED],
  [status.UNAUTHENTICATED, ErrorCode.TOKEN_REFUSED],
  [status.PERMISSION_DENIED, ErrorCode.ACCESS_DENIED],
  [status.RESOURCE_EXHAUSTED, ErrorCode.LIMIT_EXCEEDED],
  [status.NOT_FOUND, ErrorCode.CLUSTER_UNKNOWN],
  [status.INTERNAL, ErrorCode.PROTOCOL_VIOLATION],
]);
