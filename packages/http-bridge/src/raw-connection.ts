import type { Socket } from "node:net";
import type { Hop, Lane } from "@fairlead/protocol";
import { type BodyFrame, BodyFramer, OffsetCheck } from "./bodies.ts";

/** See {@link RawConnection.finish}. */
const LINGER_MS = 60_000;

/**
 * Joins a TCP connection to a lane: bytes both ways, a half-close each way, and whoever does not read stops the other end
 * and nobody else. What is cut is reset (RFC 9293, 3.10.7), so that nobody takes it for an end in good order.
 */
export class RawConnection {
  readonly #socket: Socket;
  readonly #lane: Lane;
  readonly #framer: BodyFramer;
  readonly #offsets: OffsetCheck;
  /** `finished`: the lane may be another's by now. */
  #state: "waiting" | "carrying" | "finished" = "waiting";

  /**
   * @param socket with `allowHalfOpen`, and not read yet
   * @param lane whose frames come by {@link accept}
   * @param send sends a frame on the lane; false means wait
   * @param peerHop the hop at the lane's other end
   */
  constructor(socket: Socket, lane: Lane, send: (frame: BodyFrame) => boolean, peerHop: Hop) {
    this.#socket = socket;
    this.#lane = lane;
    this.#framer = new BodyFramer(send);
    this.#offsets = new OffsetCheck(peerHop);
    socket.setNoDelay(true);
  }

  /** Reads the connection from now on. */
  start(): void {
    this.#state = "carrying";
    this.#socket.on("data", (chunk: Buffer) => {
      if (!this.#framer.data(chunk)) this.#socket.pause();
    });
    this.#socket.on("end", () => this.#framer.end());
    this.#socket.on("drain", () => {
      if (this.#state === "carrying") this.#lane.resume();
    });
    this.#socket.resume();
  }

  /** A frame came. @throws FairleadError PROTOCOL_VIOLATION if bytes are missing or repeated */
  accept(frame: BodyFrame): void {
    const bytes = this.#offsets.accept(frame.value);
    if (bytes.length > 0 && !this.#socket.write(bytes)) this.#lane.pause();
    if (frame.case === "end") this.#socket.end();
  }

  /** The lane takes frames again. */
  laneDrained(): void {
    if (this.#state === "carrying") this.#socket.resume();
  }

  /**
   * Both directions have ended: what is unsent still goes out, to a peer that reads it.
   *
   * @param lingerMs how long a peer may take nothing of it, in milliseconds
   */
  finish(lingerMs = LINGER_MS): void {
    this.#state = "finished";
    this.#lane.resume();
    this.#socket.setTimeout(lingerMs, () => this.cut());
  }

  /** Ends the connection so that its peer sees a reset. One that is not made yet is given up: node would wait for it. */
  cut(): void {
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }
}
