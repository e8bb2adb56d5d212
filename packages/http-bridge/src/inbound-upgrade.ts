import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { decodeResponse, ErrorCode, FairleadError, Hop, type Lane, type ResponseHead } from "@fairlead/protocol";
import { BodyFramer, OffsetCheck } from "./bodies.ts";
import { headText } from "./headers.ts";
import type { InboundRequest } from "./inbound-http.ts";
import { type RemoteCommandFault, remoteCommandFault } from "./remote-command-fault.ts";
import { answerOf } from "./response-head.ts";
import { explainLoss, sendStatus } from "./status.ts";
import { serverTiming } from "./timings.ts";

/**
 * HTTP in, frames out, for a request that asks for an upgrade: SPDY/3.1 or WebSocket, carried as raw bytes with a
 * half-close each way. An answer other than 101 is written as an ordinary answer, and the connection is closed.
 */
export class InboundUpgrade {
  readonly #in: InboundRequest & { request: IncomingMessage };
  readonly #socket: Socket;
  readonly #lane: Lane;
  readonly #framer: BodyFramer;
  readonly #offsets = new OffsetCheck(Hop.RELAY);
  #fault: RemoteCommandFault | undefined;
  #answer: ServerResponse | undefined;
  /** `answered`: by something other than 101, whose body still comes. `over`: nothing more is to be said. */
  #state: "asked" | "upgraded" | "answered" | "over" = "asked";
  #released = false;

  /**
   * @param socket the client's connection, as node's `upgrade` event hands it over
   * @param lane an idle lane; this exchange has it until `released`
   */
  constructor(inbound: InboundRequest & { request: IncomingMessage }, socket: Socket, lane: Lane) {
    this.#in = inbound;
    this.#socket = socket;
    this.#lane = lane;
    this.#framer = new BodyFramer((frame) => lane.sendRequest(frame));
  }

  /** Sends the request on. All that follows happens by events. */
  start(): void {
    this.#lane.start({
      frame: (_field, message) => this.#onFrame(message),
      drained: () => {
        if (this.#state === "upgraded") this.#socket.resume(); // before the 101 nobody takes its bytes
      },
      idle: () => {
        this.#released = true;
        this.#in.released();
      },
      closed: (error) => this.#fail(error ?? lost()),
    });
    if (this.#lane.closed) return this.#fail(lost());
    this.#socket.on("drain", () => this.#lane.resume());
    this.#socket.on("error", () => {}); // "close" follows and tells
    this.#socket.on("close", () => this.#onSocketClosed());
    this.#lane.sendRequest({ case: "head", value: this.#in.head });
  }

  #onFrame(message: Uint8Array): void {
    const frame = decodeResponse(message);
    switch (frame.case) {
      case "head":
        return frame.value.status === 101 ? this.#switch(frame.value) : this.#refused(frame.value);
      case "data":
        return this.#write(this.#offsets.accept(frame.value));
      case "end":
        return this.#end(this.#offsets.accept(frame.value));
      case "whole":
        this.#refused(frame.value.head);
        return this.#end(frame.value.body);
      case "error":
        return this.#fail(FairleadError.fromMessage(frame.value));
      case "informational":
      case "ready":
      case undefined:
        return;
    }
  }

  /** 101: from here on both sides speak the other protocol. */
  #switch(head: ResponseHead): void {
    const { reason, headers } = answerOf(head, this.#in.head, true);
    const raw = ["Connection", "Upgrade", "Upgrade", head.upgrade, ...headers];
    raw.push(...serverTiming(head.timings, this.#in));
    this.#socket.write(headText(101, reason || "Switching Protocols", raw), "latin1");
    this.#state = "upgraded";
    this.#fault = remoteCommandFault(this.#in.head, head);
    this.#socket.on("data", (chunk: Buffer) => {
      if (!this.#framer.data(chunk)) this.#socket.pause();
    });
    this.#socket.on("end", () => {
      if (!this.#lane.closed) this.#framer.end();
    });
    this.#socket.resume();
  }

  #refused(head: ResponseHead | undefined): void {
    const { status, reason, headers } = answerOf(head, this.#in.head);
    const answer = plainAnswer(this.#in.request, this.#socket);
    answer.sendDate = false;
    answer.writeHead(status, reason, headers);
    this.#answer = answer;
    this.#state = "answered";
    this.#framer.end(); // the request had no body: with this the lane is free again
  }

  #write(bytes: Uint8Array): void {
    if (!(this.#answer ?? this.#socket).write(this.#fault?.pass(bytes) ?? bytes)) this.#lane.pause();
  }

  #end(last: Uint8Array): void {
    if (last.length > 0) this.#write(last);
    if (this.#answer) {
      this.#state = "over";
      return void this.#answer.end();
    }
    const unfinished = this.#fault?.unfinished(closedEarly());
    if (unfinished) this.#socket.write(unfinished);
    this.#socket.end();
  }

  /**
   * Before the head a Status. After it a cut. A SPDY client would exit 0 then (every kubectl measured), and a WebSocket
   * client say "close 1006" and no more: both get the fault as the command's result first.
   */
  #fail(fault: FairleadError): void {
    const error = explainLoss(fault);
    const state = this.#state;
    this.#state = "over";
    switch (state) {
      case "asked":
        return sendStatus(plainAnswer(this.#in.request, this.#socket), error, this.#in.hop);
      case "upgraded": {
        if (this.#socket.writableEnded) return void this.#socket.destroySoon(); // all was said, and is still being read
        const told = this.#fault?.unfinished(error);
        if (told) return void this.#socket.end(told, () => this.#socket.destroy());
        return void this.#socket.destroy();
      }
      case "answered":
        return void this.#socket.destroy();
      case "over":
        return;
    }
  }

  #onSocketClosed(): void {
    if (this.#released) return;
    this.#lane.reset(new FairleadError(ErrorCode.CANCELLED, this.#in.hop, "the client went away"));
  }
}

/** node gives no ServerResponse with an `upgrade` event: this makes one that closes the connection at its end. */
export function plainAnswer(request: IncomingMessage, socket: Socket): ServerResponse {
  const answer = new ServerResponse(request);
  answer.shouldKeepAlive = false;
  answer.assignSocket(socket);
  answer.on("finish", () => socket.end());
  return answer;
}

function lost(): FairleadError {
  return new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "the connection was lost");
}

function closedEarly(): FairleadError {
  const sentence = "the cluster closed the connection before the command's result";
  return new FairleadError(ErrorCode.CONNECTION_LOST, Hop.APISERVER, sentence);
}
