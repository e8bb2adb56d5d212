import { create } from "@bufbuild/protobuf";
import { FairleadError } from "./errors.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type Credential,
  ResponseHeadSchema,
  WholeResponseSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { decodeResponse, type Lane } from "./lane.ts";
import { MAX_CREDENTIAL_BYTES } from "./limits.ts";
import { EXCHANGE_ID_BYTES } from "./request-head.ts";
import { failExchange } from "./splice.ts";

/** How long a hop may take to judge a credential, in milliseconds. An issuer's keys may have to be fetched for it. */
const ANSWER_MS = 8_000;
const CARRIED_ON = 204;

/**
 * Sends a credential and waits for what the next hop says.
 *
 * @param lane an idle lane; nobody else's until this resolves or rejects, and idle then unless it is closed
 * @param peerHop the next hop
 * @throws FairleadError why the exchange does not go on by it
 */
export async function sendCredential(lane: Lane, credential: Credential, peerHop: Hop): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const wrong = new FairleadError(ErrorCode.PROTOCOL_VIOLATION, peerHop, "a credential is answered by 204 or an error");
  let refusal: FairleadError | undefined;
  const lost = (): FairleadError => new FairleadError(ErrorCode.CONNECTION_LOST, peerHop, "the lane was closed");
  lane.start({
    frame: (_field, message) => {
      const frame = decodeResponse(message);
      if (frame.case === "error") refusal = FairleadError.fromMessage(frame.value);
      else if (frame.case !== "whole" || frame.value.head?.status !== CARRIED_ON) lane.reset(wrong);
    },
    drained: () => {},
    idle: () => (refusal ? reject(refusal) : resolve()),
    closed: (error) => reject(refusal ?? error ?? lost()),
  });
  if (lane.closed) throw lost();
  const late = new FairleadError(ErrorCode.TIMED_OUT, peerHop, "the credential was not answered in time");
  const timer = setTimeout(() => lane.reset(late), ANSWER_MS);
  try {
    lane.sendRequest({ case: "credential", value: credential });
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Answers a credential that came on a server's lane.
 *
 * @param hop this hop
 * @param judge carries the exchange on, or throws why it does not
 */
export async function answerCredential(
  lane: Lane,
  credential: Credential,
  hop: Hop,
  judge: (credential: Credential) => Promise<void>,
): Promise<void> {
  try {
    checkCredential(credential);
    await judge(credential);
    const head = create(ResponseHeadSchema, { exchangeId: credential.exchangeId, status: CARRIED_ON });
    if (!lane.closed) lane.sendResponse({ case: "whole", value: create(WholeResponseSchema, { head }) });
  } catch (error) {
    failExchange(lane, FairleadError.from(error, hop));
  }
}

/** Holds a credential to what the schema's comments say of it. */
function checkCredential({ exchangeId, cluster, token, proof }: Credential): void {
  if (exchangeId.length !== EXCHANGE_ID_BYTES) throw violation("an exchange id is not 16 bytes");
  const bytes = cluster.length + token.length + proof.length;
  if (bytes > MAX_CREDENTIAL_BYTES) throw violation("a credential is over 256 KiB");
}

function violation(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.UNSPECIFIED, sentence);
}
