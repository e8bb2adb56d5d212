import type { FairleadError, MessageStream, MessageStreamEvents } from "@fairlead/protocol";

/** A call in memory: what is sent is kept, and the test plays the peer. */
export class MemoryStream implements MessageStream {
  readonly sent: Uint8Array[] = [];
  /** Whether our direction was ended in good order. */
  ended = false;
  /** With what the call was reset or refused. */
  brokenBy: FairleadError | undefined;
  #events: MessageStreamEvents | undefined;

  start(events: MessageStreamEvents): void {
    this.#events = events;
  }
  send(message: Uint8Array): boolean {
    this.sent.push(message);
    return true;
  }
  end(): void {
    this.ended = true;
  }
  reset(reason: FairleadError): void {
    this.brokenBy = reason;
    this.#events?.closed(reason);
  }
  refuse(reason: FairleadError): void {
    this.reset(reason);
  }
  pause(): void {}
  resume(): void {}
}
