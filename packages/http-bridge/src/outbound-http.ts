import { create } from "@bufbuild/protobuf";
import {
  FairleadError,
  failExchange,
  Hop,
  type Lane,
  MAX_FRAME_DATA_BYTES,
  type RequestHead,
  type WholeRequest,
  WholeResponseSchema,
} from "@fairlead/protocol";
import type { AnswerHead } from "./answer-parser.ts";
import { type BodyFrame, BodyFramer, OffsetCheck } from "./bodies.ts";
import { BodyLength } from "./body-length.ts";
import { headerLines, requestText, toFrameHeaders, toRawHeaders } from "./headers.ts";
import type { Outbound } from "./outbound-lane.ts";
import { responseHead } from "./response-head.ts";
import { apiserverError, type Upstream } from "./upstream.ts";
import type { UpstreamConnection, UpstreamEvents } from "./upstream-connection.ts";

/** Frames in, HTTP out: one request to the apiserver, and its answer back as frames. */
export class OutboundHttp implements Outbound, UpstreamEvents {
  readonly #lane: Lane;
  readonly #head: RequestHead;
  readonly #upstream: Upstream;
  readonly #since: { startedAt: number; sentAt: number };
  readonly #connection: UpstreamConnection;
  readonly #framer: BodyFramer;
  readonly #offsets = new OffsetCheck(Hop.AGENT);
  readonly #length: BodyLength;
  #requestEnded: boolean;
  #answer: AnswerHead | undefined;
  /** What of the body has come before the head went on. */
  #early: Buffer[] | undefined = [];
  #over = false;

  /**
   * @param lane the lane whose exchange this is
   * @param head the request's head, checked
   * @param upstream where it goes
   * @param startedAt when the head came, from `performance.now()`
   * @param whole the whole request, if it is one
   * @throws FairleadError if the request cannot be written as HTTP; nothing was sent then
   */
  constructor(lane: Lane, head: RequestHead, upstream: Upstream, startedAt: number, whole?: WholeRequest) {
    this.#lane = lane;
    this.#head = head;
    this.#upstream = upstream;
    this.#since = { startedAt, sentAt: performance.now() };
    this.#requestEnded = whole !== undefined;
    this.#framer = new BodyFramer((frame) => lane.sendResponse(frame));
    this.#length = new BodyLength(head.headers);
    if (whole) {
      this.#length.count(whole.body.length);
      this.#length.finish();
    }
    const trailers = headerLines(toRawHeaders(whole?.trailers ?? []));
    const known = whole && trailers === "" ? whole.body : undefined; // only a chunked body can have trailers
    const framing = known ? BodyLength.ofWhole(head.method, known.length) : this.#length.framing;
    const text = requestText(head.method, head.target, [...upstream.headers, ...framing]);
    this.#connection = upstream.pool.take();
    this.#connection.ask(head.method, text, known, framing[0] === "Transfer-Encoding", this);
    if (!whole || known) return;
    this.#connection.write(whole.body);
    this.#connection.end(trailers);
  }

  body(frame: BodyFrame): void {
    if (this.#over) return;
    try {
      const bytes = this.#offsets.accept(frame.value);
      this.#length.count(bytes.length);
      if (!this.#connection.write(bytes)) this.#lane.pause();
      if (frame.case === "data") return;
      this.#length.finish();
      const trailers = headerLines(toRawHeaders(frame.value.trailers));
      this.#requestEnded = true;
      this.#connection.end(trailers);
    } catch (error) {
      this.#fail(FairleadError.from(error, Hop.IDENTITY_PROXY));
    }
  }

  laneDrained(): void {
    this.#connection.resume();
  }

  cancel(): void {
    if (this.#over && this.#requestEnded) return; // the connection is another's by now
    this.#over = true;
    this.#connection.destroy();
  }

  informational({ status, reason, rawHeaders }: AnswerHead): void {
    const value = responseHead(this.#head, status, reason, rawHeaders);
    this.#lane.sendResponse({ case: "informational", value });
  }

  head(answer: AnswerHead): void {
    this.#upstream.answered?.(answer.status);
    const refused =
      this.#upstream.judge?.(answer.status) ??
      (answer.status === 101 ? apiserverError(new Error("101"), true) : undefined);
    if (refused) return this.#fail(refused);
    this.#answer = answer;
    // What comes with the head goes with the head. A watch's head does not wait for its first event.
    setImmediate(() => this.#sendHead());
  }

  data(bytes: Buffer): void {
    if (this.#over) return;
    if (this.#early) this.#early.push(bytes);
    else if (!this.#framer.data(bytes)) this.#connection.pause();
  }

  end(rawTrailers: string[]): void {
    if (this.#over || !this.#answer) return;
    const trailers = toFrameHeaders(rawTrailers);
    const body = this.#early && (this.#early.length === 1 ? this.#early[0] : Buffer.concat(this.#early));
    if (body && body.length <= MAX_FRAME_DATA_BYTES) {
      this.#early = undefined;
      const value = create(WholeResponseSchema, { head: this.#frameHead(this.#answer), body, trailers });
      this.#lane.sendResponse({ case: "whole", value });
    } else {
      this.#sendHead();
      this.#framer.end(trailers);
    }
    this.#over = true;
    // An answer before the request's end: the rest of the request is of no use to anybody.
    if (!this.#requestEnded) this.#connection.destroy();
  }

  drained(): void {
    this.#lane.resume();
  }

  failed(cause: Error): void {
    this.#fail(apiserverError(cause, this.#connection.made));
  }

  #sendHead(): void {
    const early = this.#early;
    if (early === undefined || this.#answer === undefined || this.#over || this.#lane.closed) return;
    this.#early = undefined;
    this.#lane.sendResponse({ case: "head", value: this.#frameHead(this.#answer) });
    if (!this.#framer.data(Buffer.concat(early))) this.#connection.pause();
  }

  #frameHead({ status, reason, rawHeaders }: AnswerHead) {
    return responseHead(this.#head, status, reason, rawHeaders, this.#since);
  }

  #fail(error: FairleadError): void {
    if (this.#over) return;
    this.#over = true;
    this.#connection.destroy();
    failExchange(this.#lane, error);
  }
}
