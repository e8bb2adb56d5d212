import type { Socket } from "node:net";
import { decodeResponse, ErrorCode, FairleadError, Hop, type Lane, type RequestHead } from "@fairlead/protocol";
import { RawConnection } from "./raw-connection.ts";
import { answerOf } from "./response-head.ts";

/** Who hears of a connection that is carried. */
export interface InboundTcpEvents {
  /** The lane is free again; not called if it was lost. */
  released(): void;
  /** The connection was cut, and why. Not called when it was its own client that left. */
  failed(error: FairleadError): void;
}

/** A TCP connection in, frames out: carries it as it is to where a request's head says. */
export class InboundTcp {
  readonly #socket: Socket;
  readonly #lane: Lane;
  readonly #head: RequestHead;
  readonly #events: InboundTcpEvents;
  readonly #raw: RawConnection;
  #state: "asked" | "connected" | "over" = "asked";

  /**
   * @param socket the client's, with `allowHalfOpen` and not read yet
   * @param lane an idle lane; this exchange has it until `released`
   * @param head asks for an upgrade
   */
  constructor(socket: Socket, lane: Lane, head: RequestHead, events: InboundTcpEvents) {
    this.#socket = socket;
    this.#lane = lane;
    this.#head = head;
    this.#events = events;
    this.#raw = new RawConnection(socket, lane, (frame) => lane.sendRequest(frame), Hop.RELAY);
  }

  /** Sends the request on. All that follows happens by events. */
  start(): void {
    this.#lane.start({
      frame: (_field, message) => this.#onFrame(message),
      drained: () => this.#raw.laneDrained(),
      idle: () => this.#onIdle(),
      closed: (error) => this.#fail(error ?? lost()),
    });
    if (this.#lane.closed) return this.#fail(lost());
    this.#socket.on("error", () => {}); // "close" follows and tells
    this.#socket.on("close", () => this.#onSocketClosed());
    this.#lane.sendRequest({ case: "head", value: this.#head });
  }

  #onFrame(message: Uint8Array): void {
    if (this.#state === "over") return;
    const frame = decodeResponse(message);
    switch (frame.case) {
      case "head":
        answerOf(frame.value, this.#head, frame.value.status === 101);
        if (frame.value.status !== 101) return this.#reset(notConnected(frame.value.status));
        this.#state = "connected";
        return this.#raw.start();
      case "data":
      case "end":
        return this.#raw.accept(frame);
      case "whole":
        return this.#reset(notConnected(frame.value.head?.status ?? 0));
      case "error":
        return this.#fail(FairleadError.fromMessage(frame.value));
      case "informational":
      case "ready":
      case undefined:
        return;
    }
  }

  /** Both directions have ended, after an error too. */
  #onIdle(): void {
    if (this.#state !== "over") this.#raw.finish();
    this.#state = "over";
    this.#events.released();
  }

  #reset(error: FairleadError): void {
    this.#fail(error);
    this.#lane.reset(error);
  }

  #fail(error: FairleadError): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#raw.cut();
    this.#events.failed(error);
  }

  /** Before the exchange is over: its client has reset it, or left before there was an answer. */
  #onSocketClosed(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "the client went away"));
  }
}

/** An identity proxy that does not know the request has passed it on, and an apiserver has answered. */
function notConnected(status: number): FairleadError {
  const sentence = `the cluster answered ${status} where a connection was due; its identity proxy may be older than this program, and is to be updated`;
  return new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.IDENTITY_PROXY, sentence);
}

function lost(): FairleadError {
  return new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "the connection was lost");
}
