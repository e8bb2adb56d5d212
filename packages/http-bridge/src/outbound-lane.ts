import {
  answerCredential,
  type Credential,
  decodeRequest,
  ErrorCode,
  FairleadError,
  failExchange,
  Hop,
  type Lane,
  type RequestFrame,
  type RequestHead,
  requestHeadOf,
} from "@fairlead/protocol";
import type { BodyFrame } from "./bodies.ts";
import { OutboundHttp } from "./outbound-http.ts";
import { answerUndialled, OutboundTcp } from "./outbound-tcp.ts";
import { OutboundUpgrade } from "./outbound-upgrade.ts";
import { checkHead, type Prepare, type TcpUpstream, type Upstream } from "./upstream.ts";

/** An exchange on its way to the apiserver. */
export interface Outbound {
  /** A frame of the request's body came. */
  body(frame: BodyFrame): void;
  /** The lane takes frames again. */
  laneDrained(): void;
  /** The exchange is over in good order. */
  finish?(): void;
  /** The lane is gone: leave nothing behind. */
  cancel(): void;
}

/** Carries an exchange on by a newer token. @throws FairleadError if it does not */
export type CarryOn = (credential: Credential) => Promise<void>;

/** A lane that is served. */
export interface ServedLane {
  /** Fails the exchange under way if it may go on no longer. @param nowMs milliseconds since the epoch */
  endExpired(nowMs: number): void;
}

/**
 * Frames in, HTTP out: serves a lane's exchanges, one after the other, by requests to the apiserver.
 *
 * @param lane the lane; this function takes it over and sends its `ready`
 * @param prepare decides where each request goes on, and refuses
 * @param ended called once when the lane is gone
 * @param carryOn judges a newer token for an exchange that is under way on another lane; it throws why it does not count
 * @returns what ends its exchanges from outside
 */
export function serveLane(
  lane: Lane,
  prepare: Prepare,
  ended: () => void,
  carryOn: CarryOn = refuseCredential,
): ServedLane {
  let current: Outbound | undefined;
  let upstream: Upstream | TcpUpstream | undefined;
  let waiting: BodyFrame[] | undefined;
  const start = (frame: OpeningFrame, head: RequestHead, found: Upstream | TcpUpstream, startedAt: number): void => {
    upstream = found;
    if ("connect" in found) {
      if (head.upgrade === "") answerUndialled(lane, head, found);
      else current = new OutboundTcp(lane, head, found);
    } else if (head.upgrade !== "") current = new OutboundUpgrade(lane, head, found, startedAt);
    else current = new OutboundHttp(lane, head, found, startedAt, frame.case === "whole" ? frame.value : undefined);
  };
  const over = (): void => {
    upstream?.over?.();
    upstream = undefined;
    current = undefined;
  };
  const startLater = async (frame: OpeningFrame, head: RequestHead, prepared: ReturnType<Prepare>): Promise<void> => {
    const startedAt = performance.now();
    waiting = [];
    lane.pause(); // until it is known where the request goes; what was read already waits, at most one read
    try {
      const found = await prepared;
      if (lane.closed) return found.over?.();
      start(frame, head, found, startedAt);
      const early = waiting;
      waiting = undefined;
      lane.resume();
      for (const body of early) current?.body(body);
    } catch (error) {
      fail(error);
    }
  };
  const fail = (error: unknown): void => {
    waiting = undefined;
    current?.cancel();
    over();
    lane.resume();
    failExchange(lane, FairleadError.from(error, Hop.IDENTITY_PROXY));
  };
  const open = (frame: OpeningFrame): void => {
    try {
      const head = requestHeadOf(frame, Hop.AGENT);
      checkHead(head, Hop.IDENTITY_PROXY);
      const prepared = prepare(head);
      if (prepared instanceof Promise) void startLater(frame, head, prepared);
      else start(frame, head, prepared, performance.now());
    } catch (error) {
      fail(error);
    }
  };
  lane.start({
    frame: (_field, message) => {
      const frame = decodeRequest(message);
      if (frame.case === "head" || frame.case === "whole") open(frame);
      else if (frame.case === "credential") void answerCredential(lane, frame.value, Hop.IDENTITY_PROXY, carryOn);
      else if (frame.case !== undefined) {
        if (waiting) waiting.push(frame);
        else current?.body(frame);
      }
    },
    drained: () => current?.laneDrained(),
    idle: () => {
      current?.finish?.();
      over();
      lane.resume();
    },
    closed: () => {
      current?.cancel();
      over();
      ended();
    },
  });
  lane.sendReady();
  return {
    endExpired: (nowMs) => {
      const ends = upstream?.ends;
      if (ends && ends.atMs <= nowMs && lane.inExchange) fail(ends.why());
    },
  };
}

async function refuseCredential(): Promise<void> {
  throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, "no exchange is carried on here");
}

type OpeningFrame = Extract<RequestFrame["frame"], { case: "head" | "whole" }>;
