import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { FairleadError, type Hop, type Lane, type RequestHead } from "@fairlead/protocol";
import { InboundHttp } from "./inbound-http.ts";
import type { AnswerWriter, InboundMessage } from "./inbound-message.ts";
import { InboundUpgrade, plainAnswer } from "./inbound-upgrade.ts";
import { sendStatus } from "./status.ts";

/** A request that was judged, and may go on. */
export interface Judged {
  head: RequestHead;
  /** Called when the exchange has its lane. @returns is called when the client has its answer, or has left */
  begin?(): () => void;
}

/** What leads from an HTTP server to lanes. */
export interface Entrance {
  /** The hop that the server belongs to. */
  hop: Hop;
  /**
   * Judges a request and makes its head.
   *
   * @param upgrade the protocol that it asks for; empty for an ordinary request
   * @throws FairleadError why it goes no further
   */
  judge(request: InboundMessage, upgrade: string): Promise<Judged>;
  /** An idle lane. @param gone whether nobody waits for it any more @throws FairleadError why there is none */
  takeLane(gone: () => boolean): Promise<Lane> | Lane;
  /** A lane is free again. */
  releaseLane(lane: Lane): void;
}

/** Carries the requests of an HTTP server over lanes: of the client proxy, and of the relay's direct endpoint. */
export class InboundExchanges {
  readonly #entrance: Entrance;
  /** Answers that are not out yet, by connection; only those of HTTP/1.1 count. */
  readonly #answering = new WeakMap<object, number>();

  constructor(entrance: Entrance) {
    this.#entrance = entrance;
  }

  /** An ordinary request: node's `request` or `checkContinue`, or what stands for it of HTTP/2. */
  async request(request: InboundMessage, response: AnswerWriter): Promise<void> {
    const startedAt = performance.now();
    const entrance = this.#entrance;
    const { hop } = entrance;
    const { socket } = request;
    this.#answering.set(socket, (this.#answering.get(socket) ?? 0) + 1);
    response.on("close", () => this.#answering.set(socket, (this.#answering.get(socket) ?? 1) - 1));
    try {
      const { head, begin } = await entrance.judge(request, "");
      const lane = await entrance.takeLane(() => response.destroyed);
      if (response.destroyed) return entrance.releaseLane(lane);
      if (begin) response.on("close", begin());
      new InboundHttp(
        { request, head, hop, startedAt, released: () => entrance.releaseLane(lane) },
        response,
        lane,
      ).start();
    } catch (error) {
      if (!response.destroyed) sendStatus(response, FairleadError.from(error, hop), hop);
    }
  }

  /** A request for an upgrade: node's `upgrade`. @param first what the client sent behind its head */
  async upgrade(request: IncomingMessage, socket: Socket, first: Buffer): Promise<void> {
    const startedAt = performance.now();
    const entrance = this.#entrance;
    const { hop } = entrance;
    socket.on("error", () => {}); // "close" follows
    // Sent behind a request that is not answered yet: the connection has no place for two answers at once.
    if ((this.#answering.get(socket) ?? 0) > 0) return void socket.destroy();
    try {
      const { head, begin } = await entrance.judge(request, request.headers.upgrade ?? "");
      const lane = await entrance.takeLane(() => socket.destroyed);
      if (socket.destroyed) return entrance.releaseLane(lane);
      if (begin) socket.once("close", begin());
      if (first.length > 0) socket.unshift(first);
      new InboundUpgrade(
        { request, head, hop, startedAt, released: () => entrance.releaseLane(lane) },
        socket,
        lane,
      ).start();
    } catch (error) {
      if (!socket.destroyed) sendStatus(plainAnswer(request, socket), FairleadError.from(error, hop), hop);
    }
  }
}
