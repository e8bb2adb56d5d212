import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FairleadError } from "./errors.ts";
import { FrameOrder } from "./frame-order.ts";
import { ErrorCode, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import type { MessageStream } from "./message-stream.ts";
import { peekFrame } from "./peek-frame.ts";

/** What a frame stream tells its owner. */
export interface FrameStreamEvents<Received extends DescMessage> {
  /** A frame came, checked for order. */
  frame(frame: MessageShape<Received>): void;
  /** The stream is over. Called exactly once. */
  closed(error?: FairleadError): void;
}

/** A stream of small frames, both ways, checked against the order in the schema: the control stream of an agent. */
export class FrameStream<Sent extends DescMessage, Received extends DescMessage> {
  readonly #stream: MessageStream;
  readonly #sent: { schema: Sent; order: FrameOrder; last: number };
  readonly #received: { schema: Received; order: FrameOrder; last: number };
  readonly #peerHop: Hop;

  /**
   * @param stream the call that carries the frames
   * @param sent the message that this end sends
   * @param received the message that the peer sends
   * @param peerHop the hop at the other end
   */
  constructor(stream: MessageStream, sent: Sent, received: Received, peerHop: Hop) {
    this.#stream = stream;
    this.#sent = { schema: sent, order: new FrameOrder(sent), last: 0 };
    this.#received = { schema: received, order: new FrameOrder(received), last: 0 };
    this.#peerHop = peerHop;
  }

  /** Starts to read frames. */
  start(events: FrameStreamEvents<Received>): void {
    this.#stream.start({
      message: (message) => this.#receive(message, events),
      ended: () => this.#stream.end(),
      drained: () => {},
      closed: (error) => events.closed(error),
    });
  }

  /** Sends a frame. @throws FairleadError PROTOCOL_VIOLATION if it is out of order: a fault of the caller */
  send(frame: MessageInitShape<Sent>): void {
    const message = toBinary(this.#sent.schema, create(this.#sent.schema, frame));
    const fault = advance(this.#sent, message);
    if (fault) throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, this.#peerHop, fault);
    this.#stream.send(message);
  }

  /** Ends our direction. */
  end(): void {
    this.#stream.end();
  }

  /** Ends the stream at once. */
  reset(reason: FairleadError): void {
    this.#stream.reset(reason);
  }

  /** Ends the stream with a status that the peer can read. */
  refuse(reason: FairleadError): void {
    this.#stream.refuse(reason);
  }

  #receive(message: Uint8Array, events: FrameStreamEvents<Received>): void {
    try {
      const fault = advance(this.#received, message);
      if (fault) throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, this.#peerHop, fault);
      events.frame(fromBinary(this.#received.schema, message));
    } catch (error) {
      this.refuse(FairleadError.from(error, this.#peerHop));
    }
  }
}

function advance(direction: { order: FrameOrder; last: number }, message: Uint8Array): string | undefined {
  const { order, last } = direction;
  const field = peekFrame(message);
  if (!order.knows(field)) return `${order.typeName}: a message is not one known frame`;
  if (!order.allows(last, field))
    return `${order.typeName}: ${order.nameOf(field)} may not follow ${order.nameOf(last)}`;
  direction.last = field;
  return undefined;
}
