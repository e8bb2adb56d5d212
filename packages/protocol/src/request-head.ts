import { FairleadError } from "./errors.ts";
import { ErrorCode, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import type { RequestFrame, RequestHead } from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { MAX_FRAME_DATA_BYTES, MAX_HEAD_BYTES } from "./limits.ts";

const EXCHANGE_ID_BYTES = 16;

/**
 * The head of the frame that opens an exchange, held to what the schema's comments say of it.
 *
 * @param peerHop the hop that sent it, named in the error
 * @throws FairleadError PROTOCOL_VIOLATION, or HEAD_TOO_LARGE
 */
export function requestHeadOf(frame: RequestFrame["frame"], peerHop: Hop): RequestHead {
  const head = frame.case === "whole" ? frame.value.head : frame.case === "head" ? frame.value : undefined;
  if (head === undefined) throw violation(peerHop, "a request has no head");
  if (head.exchangeId.length !== EXCHANGE_ID_BYTES) throw violation(peerHop, "an exchange id is not 16 bytes");
  if (headBytes(head) > MAX_HEAD_BYTES) {
    throw new FairleadError(
      ErrorCode.HEAD_TOO_LARGE,
      peerHop,
      "the request's target and headers are larger than 1 MiB",
    );
  }
  if (frame.case !== "whole") return head;
  if (head.upgrade !== "") throw violation(peerHop, "a whole request asks for an upgrade");
  if (frame.value.body.length > MAX_FRAME_DATA_BYTES) throw violation(peerHop, "a whole request's body is over 64 KiB");
  return head;
}

function headBytes({ target, headers }: RequestHead): number {
  return headers.reduce((sum, { name, value }) => sum + name.length + value.length, target.length);
}

function violation(peerHop: Hop, sentence: string): FairleadError {
  return new FairleadError(ErrorCode.PROTOCOL_VIOLATION, peerHop, sentence);
}
