import { FairleadError } from "./errors.ts";
import { ErrorCode, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import type { RequestFrame, RequestHead } from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { MAX_FRAME_DATA_BYTES, MAX_HEAD_BYTES } from "./limits.ts";

/** A UUID (RFC 9562). */
export const EXCHANGE_ID_BYTES = 16;
/** The client's name and version, for logs. */
const CLIENT = /^[\x20-\x7e]{0,128}$/;

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
  if (!CLIENT.test(head.client))
    throw violation(peerHop, "a client's name is not plain text of 128 characters at most");
  checkScope(head, peerHop);
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

/** A limit that this hop would not enforce must not be taken for none. */
function checkScope({ scope }: RequestHead, peerHop: Hop): void {
  if (scope === undefined) return;
  if ((scope.$unknown ?? []).length + (scope.groups?.$unknown ?? []).length === 0) return;
  const sentence = "the context asks for a limit that this version does not know; update it, or use another context";
  throw violation(peerHop, sentence);
}

function headBytes({ target, headers, scope }: RequestHead): number {
  const groupBytes = (scope?.groups?.names ?? []).reduce((sum, name) => sum + name.length, 0);
  return headers.reduce((sum, { name, value }) => sum + name.length + value.length, target.length + groupBytes);
}

function violation(peerHop: Hop, sentence: string): FairleadError {
  return new FairleadError(ErrorCode.PROTOCOL_VIOLATION, peerHop, sentence);
}
