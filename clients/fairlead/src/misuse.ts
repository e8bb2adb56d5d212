import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";

/** What the user gave cannot be used. @param sentence says so, and what to give instead */
export function misuse(sentence: string, cause?: unknown): FairleadError {
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, sentence, { cause });
}
