import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import {
  ErrorCode,
  FairleadError,
  failExchange,
  Hop,
  type Lane,
  MAX_HEAD_BYTES,
  type RequestHead,
} from "@fairlead/protocol";
import { type BodyFrame, BodyFramer, OffsetCheck } from "./bodies.ts";
import { BodyLength } from "./body-length.ts";
import { followConnecting } from "./connecting.ts";
import type { Outbound } from "./outbound-lane.ts";
import { responseHead } from "./response-head.ts";
import { apiserverError, type Upstream } from "./upstream.ts";

/**
 * Frames in, HTTP out, for an upgrade: on a connection of its own, never a kept one, so that a refused upgrade leaves
 * nothing that could be used again. After the 101 both directions are raw bytes with a half-close each.
 */
export class OutboundUpgrade implements Outbound {
  readonly #lane: Lane;
  readonly #head: RequestHead;
  readonly #upstream: Upstream;
  readonly #since: { startedAt: number; sentAt: number };
  readonly #request: ClientRequest;
  readonly #framer: BodyFramer;
  readonly #offsets = new OffsetCheck(Hop.AGENT);
  #source: Socket | IncomingMessage | undefined;
  #socket: Socket | undefined;
  #ended = false;
  #over = false;

  /** See OutboundHttp. */
  constructor(lane: Lane, head: RequestHead, upstream: Upstream, startedAt: number) {
    this.#lane = lane;
    this.#head = head;
    this.#upstream = upstream;
    this.#since = { startedAt, sentAt: performance.now() };
    this.#framer = new BodyFramer((frame) => lane.sendResponse(frame));
    this.#request = this.#open();
    this.#request.end();
  }

  #open(): ClientRequest {
    const { address, tls, headers, secure } = this.#upstream;
    // Without it node would make a POST chunked, and the end of its empty body the first bytes of the other protocol.
    const framing = BodyLength.ofWhole(this.#head.method, 0);
    const halfOpen = { allowHalfOpen: true }; // a socket option that node's http types do not list
    const request = (secure ? httpsRequest : httpRequest)({
      ...address,
      ...tls,
      ...halfOpen,
      agent: false,
      method: this.#head.method,
      path: this.#head.target,
      headers: [...headers, ...framing, "Connection", "Upgrade", "Upgrade", this.#head.upgrade],
      maxHeaderSize: MAX_HEAD_BYTES,
    });
    request.maxHeadersCount = 0;
    const connecting = followConnecting(request);
    request.on("upgrade", (response, socket, first) => this.#onUpgrade(response, socket as Socket, first));
    request.on("response", (response) => this.#onRefused(response));
    request.on("error", (error) => this.#fail(apiserverError(error, connecting.made)));
    return request;
  }

  body(frame: BodyFrame): void {
    if (this.#over) return;
    try {
      this.#passOn(frame);
    } catch (error) {
      this.#fail(FairleadError.from(error, Hop.IDENTITY_PROXY));
    }
  }

  #passOn(frame: BodyFrame): void {
    const bytes = this.#offsets.accept(frame.value);
    if (!this.#socket) {
      // Written before the 101, these bytes would be read as a request of their own.
      if (bytes.length === 0 && this.#source) return;
      const sentence = "bytes came before the cluster had answered the upgrade";
      return this.#fail(new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.AGENT, sentence));
    }
    // A socket that the apiserver has closed takes nothing and never drains: what still comes is thrown away.
    if (bytes.length > 0 && this.#socket.writable && !this.#socket.write(bytes)) this.#lane.pause();
    if (frame.case === "end") this.#socket.end();
  }

  drained(): void {
    this.#source?.resume();
  }

  cancel(): void {
    this.#over = true;
    this.#request.destroy();
    this.#socket?.destroy();
  }

  #onUpgrade(response: IncomingMessage, socket: Socket, first: Buffer): void {
    this.#socket = socket;
    const head = responseHead(this.#head, 101, response.statusMessage, response.rawHeaders, this.#since);
    head.upgrade = response.headers.upgrade ?? this.#head.upgrade;
    this.#lane.sendResponse({ case: "head", value: head });
    socket.setNoDelay(true);
    socket.on("drain", () => this.#lane.resume());
    if (first.length > 0) socket.unshift(first);
    this.#pump(socket);
  }

  #onRefused(response: IncomingMessage): void {
    const refused = this.#upstream.judge?.(response.statusCode ?? 0);
    if (refused) return this.#fail(refused);
    const head = responseHead(
      this.#head,
      response.statusCode,
      response.statusMessage,
      response.rawHeaders,
      this.#since,
    );
    this.#lane.sendResponse({ case: "head", value: head });
    this.#pump(response);
  }

  /** Passes on what the apiserver sends, to its end. A connection that closes without an end was lost. */
  #pump(source: Socket | IncomingMessage): void {
    this.#source = source;
    source.on("data", (chunk: Buffer) => {
      if (!this.#over && !this.#framer.data(chunk)) source.pause();
    });
    source.on("end", () => {
      if (this.#over || this.#ended) return;
      this.#ended = true;
      this.#framer.end();
    });
    source.on("error", (error: Error) => this.#fail(apiserverError(error, true)));
    source.on("close", () => {
      if (!this.#over) this.#lane.resume(); // a closed socket never drains
      if (!this.#ended) this.#fail(apiserverError(new Error("closed without an end"), true));
    });
  }

  #fail(error: FairleadError): void {
    if (this.#over || this.#ended) return;
    this.cancel();
    failExchange(this.#lane, error);
  }
}
