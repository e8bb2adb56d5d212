import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { CLIENT_PREFACE } from "./http2-frames.ts";

/** What is written at once, in bytes. */
const CHUNK_BYTES = 64 * 1024;

/** How to reach a listener, and as whom. */
export interface ListenerAddress {
  readonly port: number;
  readonly ca: Buffer | string;
  readonly cert?: Buffer | string;
  readonly key?: Buffer | string;
}

/** What came of a flood. */
export interface FloodOutcome {
  /** Whether the listener ended the connection. */
  readonly isCut: boolean;
  /** What the operating system took. */
  readonly sentBytes: number;
}

/** A peer that sends as much as it can of what it should not. */
export class FloodingPeer {
  readonly socket: TLSSocket;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
  }

  /** Connects and does what every client of HTTP/2 does first. */
  static async open({ port, ...tls }: ListenerAddress): Promise<FloodingPeer> {
    const socket = connect({ host: "127.0.0.1", port, ...tls, ALPNProtocols: ["h2"] });
    socket.on("error", () => {}); // it is cut
    await once(socket, "secureConnect");
    socket.write(CLIENT_PREFACE);
    return new FloodingPeer(socket);
  }

  /**
   * Sends what `next` gives until it is cut, or for so long.
   *
   * @param reads whether it takes in what is answered
   */
  async flood(next: () => Buffer, forMs: number, reads = true): Promise<FloodOutcome> {
    const { socket } = this;
    if (reads) socket.resume();
    const closed = new Promise((resolve) => socket.once("close", resolve));
    const endsAt = performance.now() + forMs;
    let sentBytes = 0;
    while (!socket.destroyed && performance.now() < endsAt) {
      const chunk = chunkOf(next);
      const sent = new Promise((resolve) => socket.write(chunk, resolve));
      const timer = new Promise((resolve) => setTimeout(resolve, Math.max(1, endsAt - performance.now())));
      await Promise.race([sent, closed, timer]);
      sentBytes += chunk.length;
    }
    const isCut = socket.destroyed;
    socket.destroy();
    return { isCut, sentBytes };
  }
}

function chunkOf(next: () => Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let length = 0; length < CHUNK_BYTES; ) {
    const part = next();
    parts.push(part);
    length += part.length;
  }
  return Buffer.concat(parts);
}
