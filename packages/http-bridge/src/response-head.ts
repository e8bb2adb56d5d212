import { create } from "@bufbuild/protobuf";
import { Hop, HopTimingSchema, type RequestHead, type ResponseHead, ResponseHeadSchema } from "@fairlead/protocol";
import { toFrameHeaders } from "./headers.ts";

/**
 * The head of an answer from the apiserver, as a frame carries it.
 *
 * @param request the head that it answers
 * @param startedAt when that head came, from `performance.now()`; for the timings, where they were asked for
 */
export function responseHead(
  request: RequestHead,
  status: number | undefined,
  reason: string | undefined,
  rawHeaders: readonly string[],
  startedAt?: number,
): ResponseHead {
  const head = create(ResponseHeadSchema, {
    exchangeId: request.exchangeId,
    status: status ?? 0,
    reason: reason ?? "",
    headers: toFrameHeaders(rawHeaders),
  });
  if (request.wantsTimings && startedAt !== undefined) {
    const durationUs = Math.round((performance.now() - startedAt) * 1000);
    head.timings.push(create(HopTimingSchema, { hop: Hop.IDENTITY_PROXY, durationUs }));
  }
  return head;
}
