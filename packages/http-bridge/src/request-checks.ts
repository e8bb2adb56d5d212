import { ErrorCode, FairleadError, type Hop } from "@fairlead/protocol";
import { rawValues } from "./header-lines.ts";
import type { InboundMessage } from "./inbound-message.ts";

/** Headers of which a request may have one only: with two, hops could disagree on which counts (RFC 9110, 7.2). */
const SINGLE = ["host", "authorization"] as const;

/** Origin form, printable ASCII (RFC 9112, 3.2.1): an absolute form or a space would let a target redirect us. */
const ORIGIN_FORM = /^\/[\x21-\x5b\x5d-\x7e]*$/;

/**
 * Refuses a request that hops could read in different ways.
 *
 * @param request what node's parser took; Content-Length with Transfer-Encoding, obs-fold and the like it refuses itself
 * @param hop the hop that judges
 * @throws FairleadError MALFORMED_REQUEST
 */
export function checkRequest(request: Pick<InboundMessage, "rawHeaders" | "url">, hop: Hop): void {
  for (const name of SINGLE) {
    const count = rawValues(request.rawHeaders, name).length;
    if (count > 1) throw malformed(hop, `the request has ${count} ${name} headers; send one`);
  }
  checkTarget(request.url ?? "", hop);
}

/** Refuses a target that is not a path on the cluster. @throws FairleadError MALFORMED_REQUEST */
export function checkTarget(target: string, hop: Hop): void {
  if (!ORIGIN_FORM.test(target)) throw malformed(hop, "the request's target is not a plain path such as /api/v1/pods");
}

function malformed(hop: Hop, sentence: string): FairleadError {
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, hop, sentence);
}
