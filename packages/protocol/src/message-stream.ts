import type { FairleadError } from "./errors.ts";

/** What a message stream tells its owner. */
export interface MessageStreamEvents {
  /** A message came. Never called while the stream is paused, but for messages that had been read already. */
  message(message: Uint8Array): void;
  /** The peer ended its direction in good order. */
  ended(): void;
  /** What was queued has gone out: `send` may be called again. */
  drained(): void;
  /** The stream is over. Called exactly once; `error` is set unless both directions ended in good order. */
  closed(error?: FairleadError): void;
}

/**
 * One gRPC call as a bidirectional stream of binary messages, the same on both ends. What it holds unsent is bounded
 * only if its owner stops calling `send` when that says false.
 */
export interface MessageStream {
  /** Sets the owner; messages flow from then on. */
  start(events: MessageStreamEvents): void;
  /** Queues a message. False: wait for `drained`. After the end of the stream it does nothing. */
  send(message: Uint8Array): boolean;
  /** Ends our direction after what is queued. */
  end(): void;
  /** Ends both directions at once: the peer sees a cancelled call, and `closed` gets `reason`. */
  reset(reason: FairleadError): void;
  /** Ends the call after what is queued: a server with the reason as gRPC status, a client by ending its direction. */
  refuse(reason: FairleadError): void;
  /** Stops reading, so that the peer's flow-control window fills. */
  pause(): void;
  /** Reads again. */
  resume(): void;
}
