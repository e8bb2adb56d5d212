import type { Socket } from "node:net";
import { type AnswerEvents, AnswerParser } from "./answer-parser.ts";

/** What the connection of one request tells its owner. After `failed` nothing comes. */
export interface UpstreamEvents extends AnswerEvents {
  /** `write` may be called again after it said false. */
  drained(): void;
  /** The answer will not be complete. Not called once it is. */
  failed(cause: Error): void;
}

/** An HTTP/1.1 connection to the apiserver: it carries one request at a time. */
export class UpstreamConnection {
  readonly #socket: Socket;
  readonly #free: (connection: UpstreamConnection) => void;
  #made = false;
  #events: UpstreamEvents | undefined;
  #parser: AnswerParser | undefined;
  #requestEnded = false;
  #chunked = false;

  /**
   * @param socket may still be connecting
   * @param free hears when the connection may carry another request
   */
  constructor(socket: Socket, free: (connection: UpstreamConnection) => void) {
    this.#socket = socket;
    this.#free = free;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("drain", () => this.#events?.drained());
    socket.on("end", () => this.#onEnd());
    socket.on("error", (cause: Error) => this.#fail(cause));
    socket.on("close", () => this.#fail(new Error("closed without an answer")));
  }

  /** Whether the connection was made: from then on the request may have reached the apiserver. */
  get made(): boolean {
    return this.#made;
  }

  /** The socket is connected, TLS included. */
  connected(): void {
    this.#made = true;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  /**
   * Begins a request.
   *
   * @param method the request's method
   * @param head its line and headers, with the empty line behind them, one character a byte
   * @param body the whole body; undefined: it comes by {@link write} and {@link end}
   * @param chunked whether those are to be chunked
   */
  ask(method: string, head: string, body: Uint8Array | undefined, chunked: boolean, events: UpstreamEvents): void {
    this.#events = events;
    this.#parser = new AnswerParser(method, events);
    this.#chunked = chunked;
    this.#requestEnded = body !== undefined;
    if (body === undefined || body.length === 0) this.#socket.write(head, "latin1");
    else this.#socket.write(Buffer.concat([Buffer.from(head, "latin1"), body]));
  }

  /** Sends a piece of the body, or of the upgraded connection. @returns false: wait for `drained` */
  write(bytes: Uint8Array): boolean {
    if (bytes.length === 0 || !this.#socket.writable) return true;
    if (!this.#chunked) return this.#socket.write(bytes);
    this.#socket.cork();
    this.#socket.write(`${bytes.length.toString(16)}\r\n`, "latin1");
    this.#socket.write(bytes);
    const flows = this.#socket.write("\r\n", "latin1");
    this.#socket.uncork();
    return flows;
  }

  /** Ends the body. @param trailers lines with CRLF behind each; only a chunked body has any */
  end(trailers: string): void {
    if (this.#chunked) this.#socket.write(`0\r\n${trailers}\r\n`, "latin1");
    this.#requestEnded = true;
    this.#freeIfOver();
  }

  /** Ends our direction of an upgraded connection. */
  halfClose(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#events = undefined;
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    if (this.#parser === undefined) return this.destroy(); // bytes that answer no request
    try {
      this.#parser.read(chunk);
      this.#freeIfOver();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      this.#socket.destroy();
    }
  }

  #onEnd(): void {
    if (this.#parser === undefined) return this.destroy();
    try {
      this.#parser.finish();
      this.#freeIfOver();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #freeIfOver(): void {
    if (!this.#requestEnded || !this.#parser?.over) return;
    const { keepAlive } = this.#parser;
    this.#parser = undefined;
    this.#events = undefined;
    if (!keepAlive) return void this.#socket.destroy();
    this.#socket.resume();
    this.#free(this);
  }

  #fail(cause: Error): void {
    const events = this.#events;
    this.#events = undefined;
    events?.drained(); // a closed socket never drains
    if (!this.#parser?.over) events?.failed(cause);
  }
}
