/** What is told of the messages on a connection. */
export interface MessageHandler {
  /** A head has come, whole. @param text its lines, without the empty one */
  onHead?(text: string): void;
  /** Bytes of a body have come. @param bytes how many */
  onBody?(bytes: number): void;
  /** The message is complete. */
  onEnd(): void;
}

type State = "head" | "fixed" | "until-close" | "chunk-size" | "chunk" | "chunk-end" | "trailers";

const HEAD_END = Buffer.from("\r\n\r\n");
const LINE_END = Buffer.from("\r\n");

/**
 * Finds out where HTTP/1.1 messages begin and end (RFC 9112), and counts their bodies. It keeps no body and checks
 * little: what it reads is the bench's own traffic, and it must cost next to nothing.
 */
export class MessageReader {
  readonly #kind: "request" | "response";
  readonly #handler: MessageHandler;
  #state: State = "head";
  /** Bytes of the body, or of the chunk, that are still to come. */
  #left = 0;
  /** The beginning of a head or line whose end has not come yet. */
  #pending: Buffer | undefined;

  constructor(kind: "request" | "response", handler: MessageHandler) {
    this.#kind = kind;
    this.#handler = handler;
  }

  /** Whether no message has begun that is not over. */
  get isBetween(): boolean {
    return this.#state === "head" && this.#pending === undefined;
  }

  /** Takes the next bytes of the connection. */
  feed(bytes: Buffer): void {
    const chunk = this.#pending === undefined ? bytes : Buffer.concat([this.#pending, bytes]);
    this.#pending = undefined;
    let at = 0;
    while (at < chunk.length) {
      const next = this.#step(chunk, at);
      if (next < 0) {
        this.#pending = chunk.subarray(at);
        return;
      }
      at = next;
    }
  }

  /** @returns where to go on, or -1 if more is needed first */
  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(chunk, at);
      case "fixed":
      case "chunk":
      case "until-close":
        return this.#readBody(chunk, at);
      case "chunk-size":
        return this.#readLine(chunk, at, (line) => {
          this.#left = Number.parseInt(line, 16);
          this.#state = this.#left === 0 ? "trailers" : "chunk";
        });
      case "chunk-end":
        return this.#readLine(chunk, at, () => {
          this.#state = "chunk-size";
        });
      case "trailers":
        return this.#readLine(chunk, at, (line) => {
          if (line === "") this.#end();
        });
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(HEAD_END, at);
    if (end < 0) return -1;
    const text = chunk.toString("latin1", at, end);
    this.#state = this.#bodyOf(text);
    this.#handler.onHead?.(text);
    if (this.#state === "fixed" && this.#left === 0) this.#end();
    return end + HEAD_END.length;
  }

  /** How the body is framed; sets {@link #left}. */
  #bodyOf(head: string): State {
    this.#left = 0;
    if (this.#kind === "response" && /^HTTP\/1.1 (1\d\d|204|304)/.test(head)) {
      return head.startsWith("HTTP/1.1 1") ? "head" : "fixed"; // what is provisional is followed by the answer
    }
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    if (length) {
      this.#left = Number(length[1]);
      return "fixed";
    }
    if (/\r\ntransfer-encoding: *chunked/i.test(head)) return "chunk-size";
    return this.#kind === "request" ? "fixed" : "until-close";
  }

  #readBody(chunk: Buffer, at: number): number {
    const there = chunk.length - at;
    const taken = this.#state === "until-close" ? there : Math.min(this.#left, there);
    this.#left -= taken;
    this.#handler.onBody?.(taken);
    if (this.#left === 0 && this.#state === "fixed") this.#end();
    if (this.#left === 0 && this.#state === "chunk") this.#state = "chunk-end";
    return at + taken;
  }

  #readLine(chunk: Buffer, at: number, take: (line: string) => void): number {
    const end = chunk.indexOf(LINE_END, at);
    if (end < 0) return -1;
    take(chunk.toString("latin1", at, end));
    return end + LINE_END.length;
  }

  #end(): void {
    this.#state = "head";
    this.#handler.onEnd();
  }
}
