import type { FairleadError } from "./errors.ts";
import type { MessageStream, MessageStreamEvents } from "./message-stream.ts";

/** How much one end holds for an owner that does not read, before the other end is told to wait, in bytes. */
const HELD_BYTES = 64 * 1024;

/** What the other end has said about how it ends. */
type PeerEnd = { how: "in good order" } | { how: "refused"; reason: FairleadError };

/**
 * One end of a message stream within this process. What is sent is taken by the other end in a turn of its own, never
 * within `send`: neither owner is called while it is in the middle of something.
 */
class PairedStream implements MessageStream {
  #peer: PairedStream | undefined;
  #events: MessageStreamEvents | undefined;
  readonly #inbox: Uint8Array[] = [];
  #heldBytes = 0;
  #peerWaits = false;
  #peerEnd: PeerEnd | undefined;
  #paused = false;
  #due = false;
  #ended = false;
  #heardEnd = false;
  #closed = false;

  static join(a: PairedStream, b: PairedStream): void {
    a.#peer = b;
    b.#peer = a;
  }

  start(events: MessageStreamEvents): void {
    this.#events = events;
    this.#deliverSoon();
  }

  send(message: Uint8Array): boolean {
    const peer = this.#peer;
    if (this.#ended || this.#closed || peer === undefined) return true;
    peer.#inbox.push(message);
    peer.#heldBytes += message.length;
    peer.#deliverSoon();
    peer.#peerWaits = peer.#heldBytes >= HELD_BYTES;
    return !peer.#peerWaits;
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#tellPeer({ how: "in good order" });
    this.#closeIfOver();
  }

  reset(reason: FairleadError): void {
    if (this.#closed) return;
    this.#close(reason);
    const peer = this.#peer;
    if (peer) queueMicrotask(() => peer.#close(reason));
  }

  refuse(reason: FairleadError): void {
    if (this.#closed) return;
    this.#tellPeer({ how: "refused", reason });
    this.#close(reason);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliverSoon();
  }

  #tellPeer(end: PeerEnd): void {
    if (this.#peer === undefined) return;
    this.#peer.#peerEnd = end;
    this.#peer.#deliverSoon();
  }

  #deliverSoon(): void {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    while (this.#events !== undefined && !this.#paused && !this.#closed) {
      const message = this.#inbox.shift();
      if (message === undefined) return this.#onEmpty();
      this.#heldBytes -= message.length;
      this.#events.message(message);
    }
  }

  #onEmpty(): void {
    if (this.#peerWaits) {
      this.#peerWaits = false;
      if (this.#peer) this.#peer.#events?.drained();
    }
    const end = this.#peerEnd;
    if (end === undefined || this.#inbox.length > 0) return;
    if (end.how === "refused") return this.#close(end.reason);
    if (!this.#heardEnd) {
      this.#heardEnd = true;
      this.#events?.ended();
    }
    this.#closeIfOver();
  }

  #closeIfOver(): void {
    if (this.#ended && this.#heardEnd) this.#close();
  }

  #close(error?: FairleadError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inbox.length = 0;
    this.#events?.closed(error);
  }
}

/**
 * The two ends of a message stream within this process: what a gRPC call is between processes, with the same bounds.
 * An end that is reset is seen by the other with the same reason.
 */
export function streamPair(): [MessageStream, MessageStream] {
  const ends: [PairedStream, PairedStream] = [new PairedStream(), new PairedStream()];
  PairedStream.join(...ends);
  return ends;
}
