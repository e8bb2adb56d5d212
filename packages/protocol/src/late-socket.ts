import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { dial } from "./dial.ts";
import type { PeerAddress } from "./peer-address.ts";

/**
 * A connection that {@link dial} makes, through the same HTTP proxy and with the same TLS, for libraries that want their
 * socket at once and no promise (`createConnection` of `http2.connect`). What is written before waits.
 */
export class LateSocket extends Duplex {
  readonly #peer: PeerAddress;
  readonly #abort = new AbortController();
  #socket: Socket | undefined;

  /** @param peer where it leads; it is dialled at once. Its errors are those of {@link dial} */
  constructor(peer: PeerAddress) {
    super();
    this.#peer = peer;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    dial(this.#peer, this.#abort.signal).then(
      (socket) => {
        this.#socket = socket;
        socket.on("data", (chunk: Buffer) => {
          if (!this.push(chunk)) socket.pause();
        });
        socket.once("end", () => this.push(null));
        socket.once("error", (error) => this.destroy(error));
        socket.once("close", () => this.destroy());
        callback();
      },
      (cause: Error) => callback(this.destroyed ? null : cause),
    );
  }

  override _read(): void {
    this.#socket?.resume();
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#socket?.write(chunk, callback);
  }

  override _final(callback: () => void): void {
    this.#socket?.end(callback);
  }

  /** Gives up the dialling too: node calls `_destroy` only after it. */
  override destroy(error?: Error): this {
    this.#abort.abort(error ?? new Error("the connection was closed"));
    return super.destroy(error);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket?.destroy();
    callback(error);
  }
}
