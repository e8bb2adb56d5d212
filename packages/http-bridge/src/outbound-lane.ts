import {
  decodeRequest,
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
import { OutboundUpgrade } from "./outbound-upgrade.ts";
import { checkHead, type Prepare, type Upstream } from "./upstream.ts";

/** An exchange on its way to the apiserver. */
export interface Outbound {
  /** A frame of the request's body came. */
  body(frame: BodyFrame): void;
  /** The lane takes frames again. */
  laneDrained(): void;
  /** The lane is gone: leave nothing behind. */
  cancel(): void;
}

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
 * @returns what ends its exchanges from outside
 */
export function serveLane(lane: Lane, prepare: Prepare, ended: () => void): ServedLane {
  let current: Outbound | undefined;
  let ends: Upstream["ends"];
  let waiting: BodyFrame[] | undefined;
  const start = (frame: OpeningFrame, head: RequestHead, upstream: Upstream, startedAt: number): void => {
    ends = upstream.ends;
    if (head.upgrade !== "") current = new OutboundUpgrade(lane, head, upstream, startedAt);
    else current = new OutboundHttp(lane, head, upstream, startedAt, frame.case === "whole" ? frame.value : undefined);
  };
  const startLater = async (frame: OpeningFrame, head: RequestHead, upstream: Promise<Upstream>): Promise<void> => {
    const startedAt = performance.now();
    waiting = [];
    lane.pause(); // until it is known where the request goes; what was read already waits, at most one read
    try {
      const found = await upstream;
      if (lane.closed) return;
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
    ends = undefined;
    current?.cancel();
    current = undefined;
    lane.resume();
    failExchange(lane, FairleadError.from(error, Hop.IDENTITY_PROXY));
  };
  const open = (frame: OpeningFrame): void => {
    try {
      const head = requestHeadOf(frame, Hop.AGENT);
      checkHead(head, Hop.IDENTITY_PROXY);
      const upstream = prepare(head);
      if (upstream instanceof Promise) void startLater(frame, head, upstream);
      else start(frame, head, upstream, performance.now());
    } catch (error) {
      fail(error);
    }
  };
  lane.start({
    frame: (_field, message) => {
      const frame = decodeRequest(message);
      if (frame.case === "head" || frame.case === "whole") open(frame);
      else if (frame.case !== undefined) {
        if (waiting) waiting.push(frame);
        else current?.body(frame);
      }
    },
    drained: () => current?.laneDrained(),
    idle: () => {
      current = undefined;
      ends = undefined;
      lane.resume();
    },
    closed: () => {
      current?.cancel();
      ended();
    },
  });
  lane.sendReady();
  return {
    endExpired: (nowMs) => {
      if (ends && ends.atMs <= nowMs && lane.inExchange) fail(ends.why());
    },
  };
}

type OpeningFrame = Extract<RequestFrame["frame"], { case: "head" | "whole" }>;
