import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { create } from "@bufbuild/protobuf";
import {
  FairleadError,
  failExchange,
  Hop,
  type Lane,
  MAX_FRAME_DATA_BYTES,
  MAX_HEAD_BYTES,
  type RequestHead,
  type WholeRequest,
  WholeResponseSchema,
} from "@fairlead/protocol";
import { type BodyFrame, BodyFramer, OffsetCheck } from "./bodies.ts";
import { BodyLength } from "./body-length.ts";
import { followConnecting } from "./connecting.ts";
import { asPairs, toFrameHeaders, toRawHeaders } from "./headers.ts";
import type { Outbound } from "./outbound-lane.ts";
import { responseHead } from "./response-head.ts";
import { apiserverError, type Upstream } from "./upstream.ts";

/** Frames in, HTTP out: one request to the apiserver, and its answer back as frames. */
export class OutboundHttp implements Outbound {
  readonly #lane: Lane;
  readonly #head: RequestHead;
  readonly #upstream: Upstream;
  readonly #since: { startedAt: number; sentAt: number };
  readonly #request: ClientRequest;
  readonly #framer: BodyFramer;
  readonly #offsets = new OffsetCheck(Hop.AGENT);
  readonly #length: BodyLength;
  #requestEnded: boolean;
  #response: IncomingMessage | undefined;
  #early: Buffer[] | undefined = [];
  #over = false;

  /**
   * @param lane the lane whose exchange this is
   * @param head the request's head, checked
   * @param upstream where it goes
   * @param startedAt when the head came, from `performance.now()`
   * @param whole the whole request, if it is one
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
    const trailers = toRawHeaders(whole?.trailers ?? []);
    const known = whole && trailers.length === 0; // only a chunked body can have trailers
    this.#request = this.#open(known ? BodyLength.ofWhole(head.method, whole.body.length) : this.#length.framing);
    if (whole) this.#end(whole.body, trailers);
    else this.#request.write(NOTHING); // flushHeaders would write bytes above 0x7f as UTF-8
  }

  #open(framing: string[]): ClientRequest {
    const { address, agent, headers, secure } = this.#upstream;
    const request = (secure ? httpsRequest : httpRequest)({
      ...address,
      agent,
      method: this.#head.method,
      path: this.#head.target,
      headers: [...headers, ...framing],
      maxHeaderSize: MAX_HEAD_BYTES,
    });
    request.maxHeadersCount = 0; // the limit is in bytes; node would drop headers beyond a count
    const connecting = followConnecting(request);
    request.on("information", (info) => {
      const value = responseHead(this.#head, info.statusCode, info.statusMessage, info.rawHeaders);
      this.#lane.sendResponse({ case: "informational", value });
    });
    request.on("response", (response) => this.#onResponse(response));
    request.on("drain", () => this.#lane.resume());
    request.on("close", () => {
      if (!this.#over) this.#lane.resume(); // a closed request never drains
      if (!this.#response) this.#fail(apiserverError(new Error("closed without an answer"), connecting.made));
    });
    request.on("error", (error) => this.#fail(apiserverError(error, connecting.made)));
    return request;
  }

  body(frame: BodyFrame): void {
    if (this.#over || this.#request.destroyed) return;
    try {
      const bytes = this.#offsets.accept(frame.value);
      this.#length.count(bytes.length);
      if (frame.case === "data") {
        if (!this.#request.write(bytes)) this.#lane.pause();
        return;
      }
      this.#length.finish();
      this.#requestEnded = true;
      this.#end(bytes, toRawHeaders(frame.value.trailers));
    } catch (error) {
      this.#fail(FairleadError.from(error, Hop.IDENTITY_PROXY));
    }
  }

  #end(last: Uint8Array, trailers: string[]): void {
    if (trailers.length > 0) this.#request.addTrailers(asPairs(trailers));
    this.#request.end(last);
  }

  drained(): void {
    this.#response?.resume();
  }

  cancel(): void {
    this.#over = true;
    this.#request.destroy();
  }

  #onResponse(response: IncomingMessage): void {
    const refused = this.#upstream.judge?.(response.statusCode ?? 0);
    if (refused) {
      response.resume();
      return this.#fail(refused);
    }
    this.#response = response;
    let complete = false;
    response.on("data", (chunk: Buffer) => this.#onData(chunk));
    response.on("end", () => {
      complete = true;
      if (!this.#early) this.#finish();
    });
    response.on("error", (error) => this.#fail(apiserverError(error, true)));
    response.on("close", () => {
      if (!response.complete) this.#fail(apiserverError(new Error("closed within the answer"), true));
    });
    // What has come with the head goes with the head. A watch's head does not wait for its first event.
    setImmediate(() => this.#sendHead(response, complete));
  }

  #onData(chunk: Buffer): void {
    if (this.#over) return;
    if (this.#early) this.#early.push(chunk);
    else if (!this.#framer.data(chunk)) this.#response?.pause();
  }

  #sendHead(response: IncomingMessage, complete: boolean): void {
    const early = Buffer.concat(this.#early ?? []);
    this.#early = undefined;
    if (this.#over || this.#lane.closed) return;
    const head = responseHead(
      this.#head,
      response.statusCode,
      response.statusMessage,
      response.rawHeaders,
      this.#since,
    );
    if (complete && early.length <= MAX_FRAME_DATA_BYTES) {
      const trailers = toFrameHeaders(response.rawTrailers);
      this.#over = true;
      this.#lane.sendResponse({ case: "whole", value: create(WholeResponseSchema, { head, body: early, trailers }) });
      return this.#leave();
    }
    this.#lane.sendResponse({ case: "head", value: head });
    if (!this.#framer.data(early)) response.pause();
    if (complete) this.#finish();
  }

  #finish(): void {
    if (this.#over || !this.#response) return;
    this.#over = true;
    this.#framer.end(toFrameHeaders(this.#response.rawTrailers));
    this.#leave();
  }

  /** An answer before the request's end: the rest of the request is of no use to anybody. */
  #leave(): void {
    if (!this.#requestEnded) this.#request.destroy();
  }

  #fail(error: FairleadError): void {
    if (this.#over) return;
    this.#over = true;
    this.#request.destroy();
    failExchange(this.#lane, error);
  }
}

const NOTHING = new Uint8Array();
