import { constants, type ServerHttp2Stream, type ServerStreamResponseOptions } from "node:http2";
import type { AnswerWriter, InboundMessage } from "./inbound-message.ts";

/**
 * An answer by HTTP/2, for an exchange that writes it as it would one of HTTP/1.1. node's own Http2ServerResponse is not
 * used: what that destroys is reset without an error, and looks complete to some clients.
 */
export class Http2Answer implements AnswerWriter {
  readonly req: InboundMessage;
  sendDate = true;
  /** Has no use here: the end of a body is the end of its stream, whatever was announced (RFC 9113, 8.1.1). */
  strictContentLength = false;
  readonly #stream: ServerHttp2Stream;
  /** The head, until it goes out with the first bytes: then it is known whether trailers come. */
  #head: string[] | undefined;
  #headersSent = false;
  #trailers: string[] = [];
  #waitsForTrailers = false;
  #ended = false;
  #cut = false;

  constructor(stream: ServerHttp2Stream, request: InboundMessage) {
    this.#stream = stream;
    this.req = request;
    stream.on("wantTrailers", () => {
      stream.sendTrailers(byName(this.#trailers));
      this.#takeNoMore();
    });
    stream.on("finish", () => this.#waitsForTrailers || this.#takeNoMore());
  }

  get headersSent(): boolean {
    return this.#headersSent;
  }

  get writableEnded(): boolean {
    return this.#ended;
  }

  get writableFinished(): boolean {
    return this.#stream.writableFinished;
  }

  get destroyed(): boolean {
    return this.#cut || this.#stream.destroyed;
  }

  on(event: "drain" | "close", listener: () => void): this {
    this.#stream.on(event, listener);
    return this;
  }

  writeContinue(): void {
    this.informational(100, []);
  }

  /** A 1xx. @param raw its headers, names and values in turn */
  informational(status: number, raw: readonly string[]): void {
    if (!this.destroyed) this.#stream.additionalHeaders({ ":status": status, ...byName(withLowerNames(raw)) });
  }

  /** The reason has no place in HTTP/2. */
  writeHead(status: number, _reason: string, raw: readonly string[]): void {
    this.#headersSent = true;
    this.#head = [":status", String(status), ...withLowerNames(raw)];
  }

  addTrailers(trailers: [name: string, value: string][]): void {
    this.#trailers = withLowerNames(trailers.flat());
  }

  write(bytes: Uint8Array | string, written?: () => void): boolean {
    this.#sendHead(true);
    if (this.#takesNothing) return true;
    return this.#stream.write(bytes, written);
  }

  end(last: Uint8Array | string): void {
    this.#ended = true;
    this.#sendHead(this.#trailers.length > 0);
    if (this.#takesNothing) return;
    if (last.length > 0) this.#stream.end(last);
    else this.#stream.end();
  }

  /**
   * A reset with an error. Not in the turn that read the request's end: with an answer queued in that turn, node 24 would
   * write empty DATA frames for ever.
   */
  destroy(): void {
    if (this.destroyed) return;
    this.#cut = true;
    setImmediate(() => this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  }

  /** Answers to HEAD, and those whose status says so, have no body: node has ended the stream with their head. */
  get #takesNothing(): boolean {
    return this.destroyed || this.#stream.writableEnded;
  }

  /**
   * The answer is complete: what the client still sends is nobody's, and it is told so (RFC 9113, 8.1). In another turn, for
   * the same reason as above.
   */
  #takeNoMore(): void {
    setImmediate(() => this.#stream.readableEnded || this.#stream.close(constants.NGHTTP2_NO_ERROR));
  }

  #sendHead(waitForTrailers: boolean): void {
    const head = this.#head;
    this.#head = undefined;
    if (head === undefined || this.destroyed) return;
    this.#waitsForTrailers = waitForTrailers;
    const options: ServerStreamResponseOptions & { sendDate: boolean } = { waitForTrailers, sendDate: this.sendDate };
    this.#stream.respond(head, options);
  }
}

/** Names of HTTP/2 are in lower case (RFC 9113, 8.2). */
function withLowerNames(raw: readonly string[]): string[] {
  return raw.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
}

/** Headers by name, each with all its values. */
function byName(raw: readonly string[]): Record<string, string[]> {
  const values = new Map<string, string[]>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name = "", value = ""] = [raw[i], raw[i + 1]];
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return Object.fromEntries(values);
}
