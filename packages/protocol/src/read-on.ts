import type { ClientHttp2Session, Http2Session, Http2Stream } from "node:http2";
import type { Socket } from "node:net";
import { RECEIVE_BUDGET_BYTES } from "./receive-windows.ts";

/** How often a connection is looked at while it is in use, in milliseconds. */
const LOOK_MS = 10;
/** How often while a write waits and something comes, in milliseconds: it is then that both ends may wait. */
const BOTH_LOOK_MS = 2;
/** How often at least while something is unsent and nothing moves, in milliseconds: its reader may have stopped for hours. */
const SLOWEST_LOOK_MS = 640;
/** What a peer may have sent beside DATA, which windows bound: ends of lanes, acknowledgements, in bytes. */
const CONTROL_BYTES = 1024 * 1024;
/** Before each frame (RFC 9113, 4.1), in bytes. */
const FRAME_HEAD_BYTES = 9;

/** What is used of the handle under node's sockets. node does not document it, and has had it from the beginning. */
interface Handle {
  /** Bytes that were written and that the kernel has not taken. */
  readonly writeQueueSize: number;
  readStart(): void;
  readStop(): void;
}

/**
 * Reads on while a write waits, at the client's end of a connection. node's HTTP/2 reads nothing while a write of its
 * own waits for the socket, so two ends that both write more than the socket takes would wait for each other for ever.
 * It suffices that one reads: then the other's write is done, the other reads, and ours is done too.
 *
 * What is read so, node takes: it hands on one DATA frame a read, and keeps the rest until its write is done. What it
 * keeps is bounded by the connection's window, which it does not take up before, and by {@link CONTROL_BYTES}. A peer
 * that keeps to no window and reads nothing is read no further than that; one that also reads a little now and then, no
 * further than what all lanes of a process may hold besides.
 */
export class ReadOn {
  static readonly #all = new WeakMap<Http2Session, ReadOn>();
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  /** Streams that had something unsent. */
  readonly #unsent = new Set<Http2Stream>();
  /** The one that was put there last: it is mostly the next one too, and a set takes its time. */
  #last: Http2Stream | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = LOOK_MS;
  /** What had been written at the last look, in bytes: the same means that it is the same write that waits. */
  #written = -1;
  /** What had been read at the last look, in bytes. */
  #read = 0;
  /** Whether that was more than at the look before. */
  #came = false;
  /** What had been read when the write that waits was met, in bytes. */
  #readBeforeWrite = 0;
  /** What had been read when no write waited, in bytes. */
  #readBefore = 0;
  /** What streams have got since then, in bytes. */
  #handedOn = 0;
  /** Whether it was we who last stopped the reading. */
  #stopped = false;

  private constructor(session: ClientHttp2Session, socket: Socket) {
    this.#session = session;
    this.#socket = socket;
    session.once("close", () => clearTimeout(this.#timer));
  }

  /** From now on for this connection. @param socket the one that the session is on */
  static start(session: ClientHttp2Session, socket: Socket): void {
    ReadOn.#all.set(session, new ReadOn(session, socket));
  }

  /** What does it for a connection; undefined if this is not its client's end. */
  static of(session: Http2Session | undefined): ReadOn | undefined {
    return session && ReadOn.#all.get(session);
  }

  /** Something is written to a stream. */
  sent(stream: Http2Stream): void {
    if (stream !== this.#last) this.#unsent.add(stream);
    this.#last = stream;
    this.lookSoon();
  }

  /** A stream got bytes: the peer is told that it may send more. */
  received(bytes: number): void {
    this.#handedOn += bytes + FRAME_HEAD_BYTES;
    this.lookSoon();
  }

  /** Looks at the connection soon, and again for as long as a write waits or something is unsent. */
  lookSoon(): void {
    if (this.#timer !== undefined && this.#pauseMs <= LOOK_MS) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pauseMs = LOOK_MS;
    if (!this.#session.destroyed) this.#timer = setTimeout(() => this.#look(), LOOK_MS).unref();
  }

  #look(): void {
    const handle = this.#handle();
    this.#timer = undefined;
    if (handle === undefined) return;
    const { bytesWritten, bytesRead } = this.#socket;
    const moved = bytesWritten !== this.#written;
    const came = bytesRead !== this.#read;
    this.#written = bytesWritten;
    this.#read = bytesRead;
    const waits = handle.writeQueueSize > 0;
    if (!waits) this.#nothingWaits(handle);
    else if (moved) this.#readBeforeWrite = bytesRead;
    else if (this.#mayRead()) this.#readOnce(handle);
    this.#came = came;
    this.#last = undefined;
    for (const stream of this.#unsent) if (stream.destroyed || stream.writableLength === 0) this.#unsent.delete(stream);
    if (!waits && this.#unsent.size === 0) return;
    if (waits)
      this.#pauseMs = came || this.#came ? BOTH_LOOK_MS : LOOK_MS; // what we read now, the next look sees
    else this.#pauseMs = moved || came ? LOOK_MS : Math.min(this.#pauseMs * 2, SLOWEST_LOOK_MS);
    this.#timer = setTimeout(() => this.#look(), this.#pauseMs).unref();
  }

  /** node reads by itself, and has handed on what it kept. */
  #nothingWaits(handle: Handle): void {
    if (this.#stopped) handle.readStart(); // should it have been a write of TLS's own, of which the session knows nothing
    this.#stopped = false;
    this.#readBefore = this.#socket.bytesRead;
    this.#handedOn = 0;
  }

  #mayRead(): boolean {
    const read = this.#socket.bytesRead;
    const most = (this.#session.state.effectiveLocalWindowSize ?? 0) + CONTROL_BYTES;
    return (
      read - this.#readBeforeWrite < most && read - this.#readBefore - this.#handedOn < most + RECEIVE_BUDGET_BYTES
    );
  }

  /** Reads what has come, in one turn of the event loop: 2 MiB at most (libuv, uv__read). */
  #readOnce(handle: Handle): void {
    handle.readStart();
    setImmediate(() => {
      const now = this.#handle();
      if (now === undefined || now.writeQueueSize === 0) return; // the session reads by itself again
      now.readStop();
      this.#stopped = true;
    });
  }

  /** undefined if the connection is over. */
  #handle(): Handle | undefined {
    if (this.#session.destroyed) return undefined;
    return Reflect.get(this.#socket, "_handle") ?? undefined;
  }
}
