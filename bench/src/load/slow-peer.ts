import { type Endpoint, requestBytes } from "./endpoint.ts";
import { LoadConnection } from "./load-connection.ts";

/** How often a paced peer goes on, in milliseconds. */
const TICK_MS = 100;
const TICKS_PER_SECOND = 1_000 / TICK_MS;
/** What a greedy upload writes at once. */
const CHUNK = Buffer.alloc(64 * 1024, "x");

/** A client that makes things hard: it goes on until it is stopped. */
export interface SlowPeer {
  /** Bytes of a body that it has read, or that its operating system has taken from it. */
  readonly bytes: number;
  /** Why its connection ended before it was stopped, or what came instead of what it asked for. */
  readonly failure: string | undefined;
  stop(): void;
}

/** Asks for a download and reads this many bytes a second of it; 0: none, not even the head. */
export async function slowDownload(endpoint: Endpoint, target: string, bytesPerSecond: number): Promise<SlowPeer> {
  const peer = await Peer.open(endpoint);
  let allowed = 0;
  peer.onBytes = (bytes) => {
    allowed -= bytes;
    if (allowed <= 0) peer.socket.pause();
  };
  peer.socket.pause();
  if (bytesPerSecond > 0) {
    peer.everyTick(() => {
      allowed += bytesPerSecond / TICKS_PER_SECOND;
      if (allowed > 0) peer.socket.resume();
    });
  }
  peer.socket.write(requestBytes(endpoint, "GET", target));
  return peer;
}

/** Announces an upload and sends this many bytes a second of it. */
export async function slowUpload(
  endpoint: Endpoint,
  target: string,
  bodyBytes: number,
  bytesPerSecond: number,
): Promise<SlowPeer> {
  const peer = await Peer.open(endpoint);
  const piece = Buffer.alloc(Math.ceil(bytesPerSecond / TICKS_PER_SECOND), "x");
  peer.socket.write(uploadHead(endpoint, target, bodyBytes));
  peer.everyTick(() => {
    if (!peer.socket.writableNeedDrain) peer.send(piece);
  });
  return peer;
}

/** Announces an upload and sends as much of it as is taken. */
export async function greedyUpload(endpoint: Endpoint, target: string, bodyBytes: number): Promise<SlowPeer> {
  const peer = await Peer.open(endpoint);
  let left = bodyBytes;
  const sendNext = (): void => {
    if (left <= 0) return;
    const chunk = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
    left -= chunk.length;
    peer.send(chunk, sendNext);
  };
  peer.socket.write(uploadHead(endpoint, target, bodyBytes));
  sendNext();
  return peer;
}

function uploadHead(endpoint: Endpoint, target: string, bodyBytes: number): Buffer {
  const more = { "Content-Type": "application/octet-stream", "Content-Length": String(bodyBytes) };
  return requestBytes(endpoint, "POST", target, more);
}

class Peer implements SlowPeer {
  bytes = 0;
  failure: string | undefined;
  onBytes: ((bytes: number) => void) | undefined;
  readonly #connection: LoadConnection;
  #timer: NodeJS.Timeout | undefined;

  private constructor(connection: LoadConnection) {
    this.#connection = connection;
  }

  static async open(endpoint: Endpoint): Promise<Peer> {
    const connection = await LoadConnection.open(endpoint, {
      onBody: (bytes) => {
        peer.bytes += bytes;
        peer.onBytes?.(bytes);
      },
      onAnswer: (_isGood, head) => peer.#failed(`answered ${head.split("\r\n", 1)[0]}`),
      onLost: (reason) => peer.#failed(reason),
    });
    const peer = new Peer(connection);
    return peer;
  }

  get socket() {
    return this.#connection.socket;
  }

  /** Sends a piece of a body; it counts once the operating system has it. */
  send(piece: Buffer, then?: () => void): void {
    this.socket.write(piece, (error) => {
      if (error) return;
      this.bytes += piece.length;
      then?.();
    });
  }

  everyTick(go: () => void): void {
    this.#timer = setInterval(go, TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#connection.close();
  }

  #failed(sentence: string): void {
    clearInterval(this.#timer);
    this.failure ??= sentence;
  }
}
