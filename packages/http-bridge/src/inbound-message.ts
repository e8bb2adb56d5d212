import type { IncomingHttpHeaders } from "node:http";

/** What an exchange needs of the request that it carries: node's IncomingMessage is one, and so is an `Http2Request`. */
export interface InboundMessage {
  readonly method?: string | undefined;
  /** The target, in origin form; who serves a part of a server's paths takes its prefix away. */
  url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn; no pseudo-headers. */
  readonly rawHeaders: string[];
  readonly rawTrailers: string[];
  /** Its connection, as far as it is the request's own. */
  readonly socket: { destroy(): unknown };
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  /** The request is complete; not called for one that was broken off. */
  on(event: "end", listener: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** What an exchange needs of the answer that it writes: node's ServerResponse is one, and so is an `Http2Answer`. */
export interface AnswerWriter {
  /** The request that is answered. */
  readonly req: Pick<InboundMessage, "url" | "headers">;
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  readonly destroyed: boolean;
  /** Whether a `Date` is added where there is none. */
  sendDate: boolean;
  /** Whether a body that is longer than was announced is an error. */
  strictContentLength: boolean;
  on(event: "drain" | "close", listener: () => void): unknown;
  writeContinue(): void;
  /** @param raw headers, names and values in turn */
  writeHead(status: number, reason: string, raw: string[]): unknown;
  addTrailers(trailers: [name: string, value: string][]): void;
  /** @returns false: wait for `drain` */
  write(bytes: Uint8Array | string, written?: () => void): boolean;
  end(last: Uint8Array | string): unknown;
  /** Cuts the answer, so that what came of it cannot be taken as complete. */
  destroy(): unknown;
}
