import { create, type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { encodeRequestFrame, encodeResponseFrame } from "./encode-frame.ts";
import { FairleadError } from "./errors.ts";
import { FrameOrder } from "./frame-order.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  ReadySchema,
  type RequestFrame,
  RequestFrameSchema,
  type ResponseFrame,
  ResponseFrameSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { DATA_OVERHEAD_BYTES, MAX_FRAME_DATA_BYTES } from "./limits.ts";
import type { MessageStream } from "./message-stream.ts";
import { peekFrame } from "./peek-frame.ts";
import { receiveWindows } from "./receive-windows.ts";

const REQUEST_ORDER = new FrameOrder(RequestFrameSchema);
const RESPONSE_ORDER = new FrameOrder(ResponseFrameSchema);
const READY_FIELD = ResponseFrameSchema.field.ready.number;
const DATA_FIELDS = {
  request: new Set([RequestFrameSchema.field.data.number]),
  response: new Set([ResponseFrameSchema.field.data.number]),
};

/** What a lane tells its owner. Frames come checked for order, and undecoded. */
export interface LaneEvents {
  /** A frame came: its field number and its message, for {@link decodeRequest}, {@link decodeResponse} or passing on. */
  frame(field: number, message: Uint8Array): void;
  /** `send` may be called again after it said false. */
  drained(): void;
  /** The exchange is over in good order; the lane is free for the next. */
  idle(): void;
  /** The lane is gone. Called exactly once. */
  closed(error?: FairleadError): void;
}

/** Which end of a lane this is: the requester sends RequestFrames, the server sends ResponseFrames. */
export type LaneRole = "requester" | "server";

/**
 * One end of a lane: a stream that carries one exchange at a time and is used again. Both directions are checked
 * against the order in the schema; a frame out of order ends this lane, and nothing else.
 */
export class Lane {
  readonly #stream: MessageStream;
  readonly #role: LaneRole;
  readonly #peerHop: Hop;
  readonly #closeListeners: (() => void)[] = [];
  #events: LaneEvents | undefined;
  #request = 0;
  #response = 0;
  #open = false;
  #answered = false;
  #peerDone = false;
  #closed = false;

  /**
   * @param stream the call that carries the lane
   * @param role this end's role
   * @param peerHop the hop at the other end, named when it breaks the order
   */
  constructor(stream: MessageStream, role: LaneRole, peerHop: Hop) {
    this.#stream = stream;
    this.#role = role;
    this.#peerHop = peerHop;
  }

  /** The hop at the other end. */
  get peerHop(): Hop {
    return this.#peerHop;
  }

  /** Whether an exchange is under way. */
  get inExchange(): boolean {
    return this.#open;
  }

  /** Whether the response of the exchange under way, or of the last one, has ended. */
  get answered(): boolean {
    return this.#answered;
  }

  /** Whether the lane is gone. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Has `listener` called when the lane is gone, whoever owns it then. */
  onClose(listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  /** Starts to read frames. May be called again to change the owner. */
  start(events: LaneEvents): void {
    const first = this.#events === undefined;
    this.#events = events;
    if (!first) return;
    this.#stream.start({
      message: (message) => this.#receive(message),
      ended: () => this.#peerEnded(),
      drained: () => this.#events?.drained(),
      closed: (error) => this.#close(error),
    });
  }

  /**
   * Sends a frame that is in its binary form.
   * @returns false: wait for `drained`
   * @throws FairleadError PROTOCOL_VIOLATION if the frame is out of order: a fault of the caller
   */
  sendMessage(message: Uint8Array): boolean {
    if (this.#closed) return true;
    const fault = this.#advance(this.#role === "requester" ? "request" : "response", message);
    if (fault) throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, this.#peerHop, fault);
    const flows = this.#stream.send(message);
    this.#settle();
    return flows;
  }

  /** Sends a request frame. See {@link sendMessage}. */
  sendRequest(frame: RequestFrame["frame"]): boolean {
    return this.sendMessage(encodeRequestFrame(frame));
  }

  /** Sends a response frame. See {@link sendMessage}. */
  sendResponse(frame: ResponseFrame["frame"]): boolean {
    return this.sendMessage(encodeResponseFrame(frame));
  }

  /** Opens the response direction. @param sessionId the agent's session on Serve, empty on Exchange */
  sendReady(sessionId: Uint8Array = new Uint8Array()): void {
    this.sendResponse({ case: "ready", value: create(ReadySchema, { sessionId }) });
  }

  /** Ends an idle lane in good order. */
  end(): void {
    this.#stream.end();
  }

  /** Ends the lane at once, and its exchange with it. */
  reset(reason: FairleadError): void {
    if (!this.#closed) this.#stream.reset(reason);
  }

  /** Refuses the lane with a gRPC status that the peer can read. */
  refuse(reason: FairleadError): void {
    if (!this.#closed) this.#stream.refuse(reason);
  }

  /** Stops reading. */
  pause(): void {
    this.#stream.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#stream.resume();
  }

  #receive(message: Uint8Array): void {
    const fault = this.#advance(this.#role === "requester" ? "response" : "request", message);
    if (fault) return this.refuse(new FairleadError(ErrorCode.PROTOCOL_VIOLATION, this.#peerHop, fault));
    try {
      this.#events?.frame(peekFrame(message), message);
    } catch (error) {
      return this.refuse(FairleadError.from(error, this.#peerHop));
    }
    this.#settle();
  }

  /** Checks one frame and steps on. Returns what is wrong, if anything is. */
  #advance(direction: "request" | "response", message: Uint8Array): string | undefined {
    const field = peekFrame(message);
    const order = direction === "request" ? REQUEST_ORDER : RESPONSE_ORDER;
    if (!order.knows(field)) return `${order.typeName}: a message is not one known frame`;
    const before = direction === "request" ? this.#request : this.#response;
    if (!order.allows(before, field))
      return `${order.typeName}: ${order.nameOf(field)} may not follow ${order.nameOf(before)}`;
    if (!this.#fitsExchange(direction, field, before)) {
      const reason = this.#open ? "the exchange before it is not over" : "no exchange is open";
      return `${order.typeName}: ${order.nameOf(field)} came where ${reason}`;
    }
    if (DATA_FIELDS[direction].has(field) && message.length > MAX_FRAME_DATA_BYTES + DATA_OVERHEAD_BYTES) {
      return `${order.typeName}: a data frame of ${message.length} bytes is over the limit of ${MAX_FRAME_DATA_BYTES}`;
    }
    if (direction === "request") this.#request = field;
    else {
      this.#response = field;
      this.#answered = this.#open && RESPONSE_ORDER.ends(field);
    }
    return undefined;
  }

  /** The rule between the directions: one exchange at a time, and no answer without a request. */
  #fitsExchange(direction: "request" | "response", field: number, before: number): boolean {
    if (direction === "response") {
      if (field === READY_FIELD) return true;
      return this.#open && !this.#answered;
    }
    const opens = before === 0 || REQUEST_ORDER.ends(before);
    if (!opens) return true;
    if (this.#open) return false;
    this.#open = true;
    receiveWindows.laneBusy();
    this.#answered = false;
    return true;
  }

  /** Closes the exchange when both directions have ended. */
  #settle(): void {
    if (!this.#open || this.#closed) return;
    if (!this.#answered || !REQUEST_ORDER.ends(this.#request)) return;
    this.#open = false;
    receiveWindows.laneIdle();
    if (this.#peerDone) this.#stream.end();
    this.#events?.idle();
  }

  /** The end is in good order between exchanges, and for a requester whose request has ended: it awaits its answer. */
  #peerEnded(): void {
    this.#peerDone = true;
    if (!this.#open) return this.#stream.end();
    if (this.#role === "server" && REQUEST_ORDER.ends(this.#request)) return;
    const sentence = "the lane ended within an exchange";
    this.reset(new FairleadError(ErrorCode.CONNECTION_LOST, this.#peerHop, sentence));
  }

  #close(error?: FairleadError): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#open) receiveWindows.laneIdle();
    for (const listener of this.#closeListeners) listener();
    this.#events?.closed(error);
  }
}

/** Decodes a request frame. @throws FairleadError PROTOCOL_VIOLATION if the bytes are malformed */
export function decodeRequest(message: Uint8Array): RequestFrame["frame"] {
  return decodeFrame(RequestFrameSchema, message, true).frame;
}

/** Decodes a response frame. @throws FairleadError PROTOCOL_VIOLATION if the bytes are malformed */
export function decodeResponse(message: Uint8Array): ResponseFrame["frame"] {
  return decodeFrame(ResponseFrameSchema, message, false).frame;
}

/** @param readUnknownFields whether to note what is not in the schema: a request's scope may not have any */
function decodeFrame<D extends DescMessage>(
  schema: D,
  message: Uint8Array,
  readUnknownFields: boolean,
): MessageShape<D> {
  try {
    return fromBinary(schema, message, { readUnknownFields });
  } catch (cause) {
    const sentence = `a ${schema.typeName} cannot be decoded`;
    throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.UNSPECIFIED, sentence, { cause });
  }
}
