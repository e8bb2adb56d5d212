import type { AnswerHead } from "./answer-parser.ts";
import type { UpstreamEvents } from "./upstream-connection.ts";

/** Remembers what the connection of one request tells its owner. */
export class AskedRecord implements UpstreamEvents {
  /** All but data, one after the other. */
  readonly told: string[] = [];
  body = "";
  cause: Error | undefined;
  /** Resolves at the first answer's head, when the answer is complete, when it failed, and when writing may go on. */
  readonly headed: Promise<void>;
  readonly ended: Promise<void>;
  readonly failure: Promise<Error>;
  #headed = (): void => {};
  #ended = (): void => {};
  #failed: (cause: Error) => void = () => {};
  #drained = (): void => {};

  constructor() {
    this.headed = new Promise((resolve) => {
      this.#headed = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#ended = resolve;
    });
    this.failure = new Promise((resolve) => {
      this.#failed = resolve;
    });
  }

  /** Resolves when `drained` is told next. */
  nextDrained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  informational({ status }: AnswerHead): void {
    this.told.push(`informational ${status}`);
  }
  head({ status }: AnswerHead): void {
    this.told.push(`head ${status}`);
    this.#headed();
  }
  data(bytes: Buffer): void {
    this.body += bytes.toString("latin1");
  }
  end(rawTrailers: string[]): void {
    this.told.push(["end", ...rawTrailers].join(" "));
    this.#ended();
  }
  drained(): void {
    this.#drained();
  }
  failed(cause: Error): void {
    this.told.push("failed");
    this.cause = cause;
    this.#failed(cause);
  }
}

/** A GET without a body. */
export const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/** An answer without a body, after which the connection is kept. */
export const EMPTY = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/** What a request without a body asks with. */
export const NO_BODY = new Uint8Array();
