import type { RequestHead, ResponseHead } from "@fairlead/protocol";
import { FrameCutter, type FrameLength } from "./frame-cutter.ts";
import {
  remoteCommandFrames,
  SPDY_HEAD_BYTES,
  spdyLength,
  WEBSOCKET_HEAD_BYTES,
  WEBSOCKET_SHORT_BYTES,
  webSocketLength,
  webSocketPayloadAt,
} from "./frame-formats.ts";

/** After so many seconds of silence, all that the cluster has said is taken to be read. */
const QUIET_SECONDS = 3;
/** A SPDY PING's head: version 3, type 6, no flags, four bytes of id follow (SPDY 3.1, 2.6.5). */
const SPDY_PING = Buffer.from([0x80, 0x03, 0x00, 0x06, 0x00, 0x00, 0x00, 0x04]);
const SPDY_PING_BYTES = SPDY_HEAD_BYTES + 4;
/** Final, ping; final, pong; its payload has a mask (RFC 6455, 5.2, 5.5.2 and 5.5.3). */
const WEBSOCKET_PING = 0x89;
const WEBSOCKET_PONG = 0x8a;
const MASKED = 0x80;
const WEBSOCKET_PING_BYTES = 2 + 4 + WEBSOCKET_SHORT_BYTES;

/** The answer to a client's ping; undefined for another frame. */
type AnswerTo = (frame: Buffer) => Buffer | undefined;

/**
 * Answers a client's pings in the cluster's place while the cluster speaks. kubectl pings every 5 s. An apiserver whose
 * command has ended writes what is left and closes, without waiting until it is read; to a ping after that its kernel
 * answers with a reset (RFC 1122, 4.2.2.13) and throws away what was not read yet. kubectl itself reads that so soon that
 * it hardly happens. Read through a tunnel, it took the end of one download in three on a busy machine (ADR 32).
 *
 * A cluster that has been silent for 3 s gets the pings: it is then that they tell something.
 */
export class Heartbeats {
  readonly #fromClient: FrameCutter;
  readonly #fromCluster: FrameCutter;
  readonly #answerTo: AnswerTo;
  /** Counted by a timer and not by the clock: in a process that stood still, the cluster's bytes may wait unread. */
  #silentSeconds = 0;
  readonly #second: NodeJS.Timeout;
  /**
   * The answer to the newest ping. A client that sends the next before it has this one may do without it
   * (RFC 6455, 5.5.3; SPDY has no such rule, and its clients wait for each), so no more than one waits here.
   */
  #due: Buffer | undefined;

  private constructor(lengthOf: FrameLength, pingBytes: number, headBytes: number, answerTo: AnswerTo) {
    this.#fromClient = new FrameCutter(lengthOf, pingBytes);
    this.#fromCluster = new FrameCutter(lengthOf, headBytes);
    this.#answerTo = answerTo;
    this.#second = setInterval(() => this.#silentSeconds++, 1_000).unref();
  }

  /** The connection is over. */
  stop(): void {
    clearInterval(this.#second);
  }

  /** @param answer a 101. @returns undefined for what is no remote command */
  static for(request: RequestHead, answer: ResponseHead): Heartbeats | undefined {
    switch (remoteCommandFrames(request, answer)) {
      case "spdy":
        return new Heartbeats(spdyLength, SPDY_PING_BYTES, SPDY_HEAD_BYTES, spdyAnswer);
      case "websocket":
        return new Heartbeats(webSocketLength, WEBSOCKET_PING_BYTES, WEBSOCKET_HEAD_BYTES, webSocketAnswer);
      case undefined:
        return undefined;
    }
  }

  /**
   * Takes in bytes from the client.
   *
   * @param isRead whether what the cluster says is being read now, and not held up by the client
   * @returns those that go on to the cluster
   */
  fromClient(bytes: Uint8Array, isRead: boolean): Buffer {
    const pings: { start: number; end: number }[] = [];
    const passed = this.#fromClient.cut(bytes, (all, start, end) => {
      if (isRead && this.#silentSeconds >= QUIET_SECONDS) return;
      const answer = this.#answerTo(all.subarray(start, end));
      if (answer === undefined) return;
      this.#due = answer;
      pings.push({ start, end });
    });
    if (pings.length === 0) return passed;
    const starts = [0, ...pings.map(({ end }) => end)];
    return Buffer.concat(starts.map((start, i) => passed.subarray(start, pings[i]?.start)));
  }

  /** Takes in bytes from the cluster. @returns those that go to the client now, with an answer between if one is due */
  fromCluster(bytes: Uint8Array): Buffer {
    this.#silentSeconds = 0;
    let border: number | undefined;
    const passed = this.#fromCluster.cut(bytes, (_all, start) => {
      border ??= start;
    });
    if (border === undefined || this.#due === undefined) return passed;
    const due = this.#due;
    this.#due = undefined;
    return Buffer.concat([passed.subarray(0, border), due, passed.subarray(border)]);
  }

  /** The answer that may go to the client now; nothing within a frame of the cluster's. */
  takeDue(): Buffer | undefined {
    if (!this.#fromCluster.atBorder) return undefined;
    const due = this.#due;
    this.#due = undefined;
    return due;
  }

  /** The client has ended its direction. @returns the beginning of a frame, for the cluster */
  clientEnded(): Buffer {
    return this.#fromClient.rest();
  }

  /** The cluster has ended its direction. @returns the beginning of a frame, for the client */
  clusterEnded(): Buffer {
    return this.#fromCluster.rest();
  }
}

/** A client's ids are odd; one that is even answers the cluster's own ping. */
function spdyAnswer(frame: Buffer): Buffer | undefined {
  const isPing = frame.length === SPDY_PING_BYTES && frame.subarray(0, SPDY_HEAD_BYTES).equals(SPDY_PING);
  return isPing && frame.readUInt32BE(SPDY_HEAD_BYTES) % 2 === 1 ? Buffer.from(frame) : undefined;
}

function webSocketAnswer(frame: Buffer): Buffer | undefined {
  const [first, second = 0] = frame;
  const length = second - MASKED;
  if (first !== WEBSOCKET_PING || length < 0 || length > WEBSOCKET_SHORT_BYTES) return undefined;
  const start = webSocketPayloadAt(frame) as number;
  const payload = frame.subarray(start).map((byte, at) => byte ^ (frame[start - 4 + (at % 4)] as number));
  return Buffer.concat([Buffer.from([WEBSOCKET_PONG, length]), payload]);
}
