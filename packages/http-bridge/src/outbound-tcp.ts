import type { Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import {
  ErrorCode,
  FairleadError,
  failExchange,
  Hop,
  type Lane,
  type RequestHead,
  WholeResponseSchema,
} from "@fairlead/protocol";
import type { BodyFrame } from "./bodies.ts";
import type { Outbound } from "./outbound-lane.ts";
import { RawConnection } from "./raw-connection.ts";
import { responseHead } from "./response-head.ts";
import type { TcpUpstream } from "./upstream.ts";

/** Frames in, a TCP connection out: what is asked for by an upgrade, and is no HTTP behind it. */
export class OutboundTcp implements Outbound {
  readonly #lane: Lane;
  readonly #head: RequestHead;
  readonly #upstream: TcpUpstream;
  readonly #socket: Socket;
  readonly #raw: RawConnection;
  #state: "connecting" | "connected" | "over" = "connecting";

  /**
   * Dials.
   *
   * @param lane the lane whose exchange this is
   * @param head the request's head, checked; it asks for an upgrade
   * @param upstream where it goes
   */
  constructor(lane: Lane, head: RequestHead, upstream: TcpUpstream) {
    this.#lane = lane;
    this.#head = head;
    this.#upstream = upstream;
    this.#socket = upstream.connect();
    this.#raw = new RawConnection(this.#socket, lane, (frame) => lane.sendResponse(frame), Hop.AGENT);
    this.#socket.once("connect", () => this.#onConnect());
    this.#socket.on("error", (cause) => this.#fail(upstream.explain(cause, this.#state === "connected")));
  }

  body(frame: BodyFrame): void {
    if (this.#state === "over") return;
    try {
      if (this.#state === "connecting") throw early();
      this.#raw.accept(frame);
    } catch (error) {
      this.#fail(FairleadError.from(error, Hop.IDENTITY_PROXY));
    }
  }

  laneDrained(): void {
    this.#raw.laneDrained();
  }

  finish(): void {
    if (this.#state === "connected") this.#raw.finish();
    this.#state = "over";
  }

  cancel(): void {
    this.#state = "over";
    this.#raw.cut();
  }

  #onConnect(): void {
    if (this.#state !== "connecting") return;
    this.#state = "connected";
    this.#upstream.answered?.(101);
    const value = responseHead(this.#head, 101, "", []);
    value.upgrade = this.#head.upgrade;
    this.#lane.sendResponse({ case: "head", value });
    this.#raw.start();
  }

  #fail(error: FairleadError): void {
    if (this.#state === "over") return;
    this.cancel();
    failExchange(this.#lane, error);
  }
}

/** Answers a request that only asks whether a connection would be made: everything was checked, and nothing is dialled. */
export function answerUndialled(lane: Lane, head: RequestHead, upstream: TcpUpstream): void {
  upstream.answered?.(204);
  const value = create(WholeResponseSchema, { head: responseHead(head, 204, "", []) });
  lane.sendResponse({ case: "whole", value });
}

function early(): FairleadError {
  const sentence = "bytes came before the connection was made";
  return new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.AGENT, sentence);
}
