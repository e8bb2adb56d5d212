import { create } from "@bufbuild/protobuf";
import {
  Hop,
  type HopTiming,
  HopTimingSchema,
  type RequestHead,
  type ResponseHead,
  ResponseHeadSchema,
} from "@fairlead/protocol";
import { toFrameHeaders } from "./headers.ts";

/**
 * The head of an answer from the apiserver, as a frame carries it.
 *
 * @param request the head that it answers
 * @param since when that head came and when it had gone on, from `performance.now()`; for the timings, where they
 *   were asked for
 */
export function responseHead(
  request: RequestHead,
  status: number | undefined,
  reason: string | undefined,
  rawHeaders: readonly string[],
  since?: { startedAt: number; sentAt: number },
): ResponseHead {
  const head = create(ResponseHeadSchema, {
    exchangeId: request.exchangeId,
    status: status ?? 0,
    reason: reason ?? "",
    headers: toFrameHeaders(rawHeaders),
  });
  if (request.wantsTimings && since) {
    head.timings.push(timing(Hop.APISERVER, since.sentAt), timing(Hop.IDENTITY_PROXY, since.startedAt));
  }
  return head;
}

function timing(hop: Hop, sinceMs: number): HopTiming {
  return create(HopTimingSchema, { hop, durationUs: Math.round((performance.now() - sinceMs) * 1000) });
}
