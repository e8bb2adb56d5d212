import { create } from "@bufbuild/protobuf";
import {
  ErrorCode,
  FairleadError,
  Hop,
  type HopTiming,
  HopTimingSchema,
  type RequestHead,
  type ResponseHead,
  ResponseHeadSchema,
} from "@fairlead/protocol";
import { checkLines, toFrameHeaders, toRawHeaders } from "./headers.ts";

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

/**
 * Takes the head of an answer out of its frame, to be written as HTTP: status, reason, and headers in node's raw form.
 *
 * @param head what came
 * @param request the head that it is to answer: an answer that got onto another's lane is never shown
 * @param upgraded whether the answer is a 101
 * @throws FairleadError PROTOCOL_VIOLATION if it is not an answer to this request, or not one of HTTP
 */
export function answerOf(
  head: ResponseHead | undefined,
  request: RequestHead,
  upgraded = false,
): { status: number; reason: string; headers: string[] } {
  if (!head) throw violation("an answer has no head");
  if (Buffer.compare(head.exchangeId, request.exchangeId) !== 0) throw violation("the answer is not to this request");
  const { status, reason } = head;
  if (upgraded ? status !== 101 : status < 200 || status >= 1000)
    throw violation(`${status} is no status of an answer`);
  checkLines(["Reason", reason]);
  return { status, reason, headers: toRawHeaders(head.headers) };
}

function violation(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, sentence);
}
