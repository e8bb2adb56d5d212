import { ServerResponse } from "node:http";
import { create } from "@bufbuild/protobuf";
import {
  decodeResponse,
  ErrorCode,
  FairleadError,
  Hop,
  type Lane,
  MAX_FRAME_DATA_BYTES,
  type RequestHead,
  type ResponseHead,
  WholeRequestSchema,
  type WholeResponse,
} from "@fairlead/protocol";
import { BodyFramer, OffsetCheck } from "./bodies.ts";
import { asPairs, headText, toFrameHeaders, toRawHeaders } from "./headers.ts";
import { Http2Answer } from "./http2-answer.ts";
import type { AnswerWriter, InboundMessage } from "./inbound-message.ts";
import { answerOf } from "./response-head.ts";
import { explainLoss, sendStatus } from "./status.ts";
import { serverTiming } from "./timings.ts";
import { WatchFault } from "./watch-fault.ts";

/** A request of a lane's requester, ready to go. */
export interface InboundRequest {
  request: InboundMessage;
  head: RequestHead;
  /** The hop that it came in at. */
  hop: Hop;
  /** When the request came, from `performance.now()`. */
  startedAt: number;
  /** Called once when the lane is free again; not if it was lost. */
  released(): void;
}

/** HTTP in, frames out: carries one request of an HTTP client over a lane and writes the answer. */
export class InboundHttp {
  readonly #in: InboundRequest;
  readonly #response: AnswerWriter;
  readonly #lane: Lane;
  readonly #framer: BodyFramer;
  readonly #offsets = new OffsetCheck(Hop.RELAY);
  #early: Buffer[] | undefined = [];
  #watch: WatchFault | undefined;
  /** Whether a watch's last event is on its way: the lane's end, which follows the error, must not cut it off. */
  #isTold = false;
  #requestEnded = false;
  #released = false;

  /** @param lane an idle lane; this exchange has it until `released` */
  constructor(inbound: InboundRequest, response: AnswerWriter, lane: Lane) {
    this.#in = inbound;
    this.#response = response;
    this.#lane = lane;
    this.#framer = new BodyFramer((frame) => lane.sendRequest(frame));
  }

  /** Sends the request on. All that follows happens by events. */
  start(): void {
    this.#lane.start({
      frame: (_field, message) => this.#onFrame(message),
      drained: () => this.#in.request.resume(),
      idle: () => {
        this.#released = true;
        this.#in.released();
      },
      closed: (error) => this.#onLaneClosed(error),
    });
    if (this.#lane.closed) return this.#onLaneClosed(undefined);
    this.#response.on("drain", () => this.#lane.resume());
    this.#response.on("close", () => this.#onResponseClosed());
    this.#readBody();
  }

  /**
   * What of the body has come with the head goes with the head: one turn of the event loop shows it. A body that
   * comes later is never waited for, so that the cluster can refuse early.
   */
  #readBody(): void {
    const { request } = this.#in;
    request.on("data", (chunk: Buffer) => this.#onBody(chunk));
    request.on("end", () => this.#onBodyEnd());
    if (hasNoBody(request)) this.#sendHead(true);
    else if (request.headers.expect !== undefined) this.#sendHead(false);
    else setImmediate(() => this.#sendHead(this.#requestEnded));
  }

  #sendHead(complete: boolean): void {
    const early = Buffer.concat(this.#early ?? []);
    this.#early = undefined;
    if (this.#lane.closed) return;
    const { head } = this.#in;
    if (complete && early.length <= MAX_FRAME_DATA_BYTES) {
      const trailers = toFrameHeaders(this.#in.request.rawTrailers);
      this.#lane.sendRequest({ case: "whole", value: create(WholeRequestSchema, { head, body: early, trailers }) });
      return;
    }
    this.#lane.sendRequest({ case: "head", value: head });
    if (!this.#framer.data(early)) this.#in.request.pause();
    if (complete) this.#framer.end(toFrameHeaders(this.#in.request.rawTrailers));
  }

  #onBody(chunk: Buffer): void {
    if (this.#early) this.#early.push(chunk);
    else if (!this.#lane.answered && !this.#framer.data(chunk)) this.#in.request.pause();
  }

  #onBodyEnd(): void {
    this.#requestEnded = true;
    if (!this.#early && !this.#released && !hasNoBody(this.#in.request)) {
      this.#framer.end(toFrameHeaders(this.#in.request.rawTrailers));
    }
  }

  #onFrame(message: Uint8Array): void {
    const frame = decodeResponse(message);
    switch (frame.case) {
      case "informational":
        return this.#writeInformational(frame.value);
      case "head":
        this.#writeHead(frame.value);
        this.#response.write(NOTHING); // flushHeaders would write bytes above 0x7f as UTF-8
        return;
      case "data":
        return this.#writeData(this.#offsets.accept(frame.value));
      case "end":
        return this.#finish(this.#offsets.accept(frame.value), frame.value.trailers);
      case "whole":
        return this.#writeWhole(frame.value);
      case "error":
        return this.#fail(FairleadError.fromMessage(frame.value));
      case "ready":
      case undefined:
        return;
    }
  }

  #writeData(bytes: Uint8Array): void {
    this.#watch?.pass(bytes);
    if (!this.#response.write(bytes)) this.#lane.pause();
  }

  #writeInformational(head: ResponseHead): void {
    if (head.status === 100) return this.#response.writeContinue();
    if (!(head.status > 101 && head.status < 200)) {
      throw new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, `${head.status} is no status of a 1xx`);
    }
    const raw = toRawHeaders(head.headers);
    if (this.#response instanceof Http2Answer) this.#response.informational(head.status, raw);
    else if (this.#response instanceof ServerResponse) {
      this.#response.socket?.write(headText(head.status, head.reason, raw), "latin1"); // node has no way for its headers
    }
  }

  #writeHead(head: ResponseHead | undefined): void {
    const { status, reason, headers } = answerOf(head, this.#in.head);
    this.#watch = WatchFault.for(this.#in.head, status, headers);
    const timing = serverTiming(head?.timings ?? [], this.#in);
    this.#response.sendDate = false;
    this.#response.strictContentLength = true; // more than was announced would be read as an answer of its own
    this.#response.writeHead(status, reason, [...headers, ...timing]);
  }

  #writeWhole(whole: WholeResponse): void {
    this.#writeHead(whole.head);
    this.#finish(whole.body, whole.trailers);
  }

  #finish(last: Uint8Array, trailers: WholeResponse["trailers"]): void {
    if (trailers.length > 0) this.#response.addTrailers(asPairs(toRawHeaders(trailers)));
    this.#response.end(last);
  }

  /**
   * Before the head a Status; after it a cut, so that the client cannot take what came as complete. A watch whose
   * access ends says so by an event first: a cut one kubectl takes for an end, and exits 0.
   */
  #fail(error: FairleadError): void {
    if (this.#isTold || this.#response.writableEnded || this.#response.destroyed) return;
    if (!this.#response.headersSent) return sendStatus(this.#response, explainLoss(error), this.#in.hop);
    const event = this.#watch?.event(error);
    if (event === undefined) return void this.#response.destroy();
    this.#isTold = true;
    const tooLong = setTimeout(() => this.#response.destroy(), LAST_EVENT_MS);
    this.#response.write(event, () => this.#response.destroy());
    this.#response.on("close", () => clearTimeout(tooLong));
  }

  #onLaneClosed(error: FairleadError | undefined): void {
    this.#fail(error ?? new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "the lane was closed"));
  }

  /** What the client still sends is thrown away, so that its next request can come; much of it ends the connection. */
  #discardRest(): void {
    if (this.#requestEnded) return;
    const { request } = this.#in;
    let leftBytes = MAX_DISCARDED_BYTES;
    request.on("data", (chunk: Buffer) => {
      leftBytes -= chunk.length;
      if (leftBytes < 0) request.socket.destroy();
    });
    request.resume();
  }

  /** The answer is out, or the client is gone: either way nobody reads this exchange any more. */
  #onResponseClosed(): void {
    this.#discardRest();
    if (this.#released) return;
    const sentence = this.#response.writableFinished ? "answered before the request had ended" : "the client went away";
    this.#lane.reset(new FairleadError(ErrorCode.CANCELLED, this.#in.hop, sentence));
  }
}

/** Most of a request's body that is read and thrown away once its answer is out, in bytes. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;
/** How long a client that does not read may take for a watch's last event, in milliseconds. */
const LAST_EVENT_MS = 1_000;
const NOTHING = new Uint8Array();

function hasNoBody(request: InboundMessage): boolean {
  const length = request.headers["content-length"];
  return request.headers["transfer-encoding"] === undefined && (length === undefined || length === "0");
}
