import { create } from "@bufbuild/protobuf";
import { encodeResponseFrame } from "./encode-frame.ts";
import { FairleadError } from "./errors.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  HopTimingSchema,
  RequestFrameSchema,
  ResponseFrameSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { decodeResponse, type Lane } from "./lane.ts";
import { peekFrame, requestWantsTimings } from "./peek-frame.ts";

const READY = ResponseFrameSchema.field.ready.number;
const REQUEST_HEADS = new Set([RequestFrameSchema.field.head.number, RequestFrameSchema.field.whole.number]);
const CREDENTIAL = RequestFrameSchema.field.credential.number;
const RESPONSE_HEADS = new Set([ResponseFrameSchema.field.head.number, ResponseFrameSchema.field.whole.number]);

/** What a splice tells the hop that made it. */
export interface SpliceOptions {
  /** This hop, for the timings. */
  hop: Hop;
  /** An exchange begins. */
  began?(): void;
  /** The inbound lane is free for its next exchange. */
  inboundIdle?(): void;
  /** The outbound lane is free for its next exchange. */
  outboundIdle?(): void;
  /** One of the lanes is gone, and the other was ended with it if it had to be. */
  closed?(error: FairleadError | undefined): void;
}

/** Two joined lanes. */
export interface Splice {
  /** Passes on a request frame that had come before the lanes were joined, `receivedAt` (`performance.now()`). */
  request(message: Uint8Array, receivedAt: number): void;
}

/**
 * Joins two lanes: what requests on `inbound` is passed to `outbound`, and the answers back, as bytes. Body frames
 * are never decoded. When one side does not read, the other is not read either, so nothing piles up here.
 *
 * A lane that is lost takes its exchange along: towards the server as a reset, towards the requester as an error
 * frame, so that it cannot be taken for an end.
 */
export function splice(inbound: Lane, outbound: Lane, options: SpliceOptions): Splice {
  let headAt: number | undefined;
  const passRequest = (field: number, message: Uint8Array, receivedAt?: number): void => {
    if (REQUEST_HEADS.has(field)) {
      headAt = requestWantsTimings(message) ? (receivedAt ?? performance.now()) : undefined;
      options.began?.();
    } else if (field === CREDENTIAL) {
      headAt = undefined; // what the request before it asked for does not count for its answer
      options.began?.();
    }
    if (!outbound.sendMessage(message)) inbound.pause();
  };
  const passResponse = (field: number, message: Uint8Array): void => {
    if (field === READY) return;
    const timed = headAt !== undefined && RESPONSE_HEADS.has(field) ? addTiming(message, options.hop, headAt) : message;
    if (!inbound.sendMessage(timed)) outbound.pause();
  };
  outbound.start({
    frame: passResponse,
    drained: () => inbound.resume(),
    idle: () => options.outboundIdle?.(),
    closed: (error) => {
      failExchange(inbound, error ?? lost());
      options.closed?.(error);
    },
  });
  inbound.start({
    frame: (field, message) => passRequest(field, message),
    drained: () => outbound.resume(),
    idle: () => options.inboundIdle?.(),
    closed: (error) => {
      if (error || outbound.inExchange) outbound.reset(error ?? lost());
      else outbound.end();
      options.closed?.(error);
    },
  });
  return { request: (message, receivedAt) => passRequest(peekFrame(message), message, receivedAt) };
}

/**
 * Ends the exchange of a server's lane with an error frame. The lane lives on if the request had ended; else it is
 * ended after the error, since nobody would read what is still to come.
 */
export function failExchange(lane: Lane, error: FairleadError): void {
  if (lane.closed || !lane.inExchange) return;
  if (!lane.answered) lane.sendResponse({ case: "error", value: error.toMessage() });
  if (lane.inExchange) lane.refuse(error);
}

function addTiming(message: Uint8Array, hop: Hop, headAt: number): Uint8Array {
  const frame = decodeResponse(message);
  const head = frame.case === "whole" ? frame.value.head : frame.case === "head" ? frame.value : undefined;
  const durationUs = Math.round((performance.now() - headAt) * 1000);
  head?.timings.push(create(HopTimingSchema, { hop, durationUs }));
  return encodeResponseFrame(frame);
}

function lost(): FairleadError {
  return new FairleadError(ErrorCode.CONNECTION_LOST, Hop.UNSPECIFIED, "the lane was closed");
}
