import { STATUS_CODES } from "node:http";
import {
  ErrorCode,
  errorCodeName,
  errorMapping,
  FairleadError,
  Hop,
  hopName,
  MAX_STATUS_BYTES,
  MAY_HAVE_BEEN_CARRIED_OUT,
} from "@fairlead/protocol";
import type { AnswerWriter } from "./inbound-message.ts";

/**
 * Tells our own answers from the cluster's: the error's code and the hop that failed, such as
 * `AGENT_NOT_CONNECTED; hop="agent"`. The apiserver's answers never carry it.
 */
export const ERROR_HEADER = "Fairlead-Error";

/**
 * An error as a Kubernetes Status object (k8s.io/apimachinery, meta/v1), under 1,024 bytes.
 * kubectl prints its message. When to come back stands in `details` too: client-go's controllers look for it there
 * (apimachinery, errors.SuggestsClientDelay).
 */
export function statusBody(error: FairleadError): string {
  const { http, reason } = errorMapping(error.code);
  const { retryAfterSeconds } = error;
  const withMessage = (message: string): string =>
    JSON.stringify({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message,
      reason,
      ...(retryAfterSeconds > 0 && { details: { retryAfterSeconds } }),
      code: http,
    });
  const room = MAX_STATUS_BYTES - 1 - Buffer.byteLength(withMessage(""));
  return withMessage(cutToJsonBytes(sentence(error), room));
}

/** JSON writes a quote in two bytes and a control character in six, so that a sentence may outgrow its own limit. */
function cutToJsonBytes(text: string, most: number): string {
  const bytesOf = (part: string): number => Buffer.byteLength(JSON.stringify(part)) - 2;
  if (bytesOf(text) <= most) return text;
  let [kept, left] = ["", most - bytesOf("…")];
  for (const character of text) {
    left -= bytesOf(character);
    if (left < 0) break;
    kept += character;
  }
  return `${kept}…`;
}

/** The sentence that a person reads: the hop, what failed, what to do. */
export function sentence(error: FairleadError): string {
  return `fairlead: ${hopName(error.hop)}: ${error.message}`;
}

/** A loss of the lane. Whoever cancels it is not the client: that one still waits for the answer. */
const LOSSES: ReadonlySet<ErrorCode> = new Set([ErrorCode.CONNECTION_LOST, ErrorCode.CANCELLED]);

/** A loss on the way, told to somebody whose request was under way; other errors stay as they are. */
export function explainLoss(error: FairleadError): FairleadError {
  if (!LOSSES.has(error.code) || error.hop === Hop.APISERVER) return error;
  if (error.message.endsWith(MAY_HAVE_BEEN_CARRIED_OUT)) return error;
  const sentence = `the connection was lost ${MAY_HAVE_BEEN_CARRIED_OUT}`;
  return new FairleadError(ErrorCode.CONNECTION_LOST, error.hop, sentence, { cause: error });
}

/** Answers a request whose head was not answered yet with a Status. @param server the hop whose client it is */
export function sendStatus(response: AnswerWriter, error: FairleadError, server: Hop): void {
  const { status, contentType, body } = answerFor(response.req, error, server);
  response.writeHead(status, STATUS_CODES[status] ?? "", [
    ...["Content-Type", contentType, "Content-Length", String(Buffer.byteLength(body))],
    ...["Cache-Control", "no-store", ERROR_HEADER, `${errorCodeName(error.code)}; hop="${hopName(error.hop)}"`],
    ...(error.retryAfterSeconds > 0 ? ["Retry-After", String(error.retryAfterSeconds)] : []),
  ]);
  response.end(body);
}

/** What client-go reads raw: OpenAPI for `kubectl apply`, and the version, by which Helm sees whether a cluster is there. */
const READ_RAW = /^\/(openapi\/|version(\?|$))/;

/**
 * A Status, but for what client-go reads raw: aggregated discovery, and READ_RAW. There it throws a
 * Status away and says "the server has received too many requests", "is currently unable to handle the request",
 * "could not find the requested resource" or "unknown", as if it were the apiserver's word. Plain text with 502 or 403
 * it prints; it repeats 502 just as 503, and 403 just as little as 404. At the relay a 401 stays: for it alone new
 * credentials are asked for (client-go, rest/request.go and apimachinery, errors.NewGenericServerResponse). To a client of
 * the client proxy it is of no use: its kubeconfig has one credential, and who has to log in is the person.
 */
function answerFor(
  { url = "", headers: { accept = "" } }: AnswerWriter["req"],
  error: FairleadError,
  server: Hop,
): { status: number; contentType: string; body: string } {
  const { http } = errorMapping(error.code);
  const isDiscovery = accept.includes("g=apidiscovery.k8s.io");
  const isRaw = isDiscovery || READ_RAW.test(url);
  const asksAgain = http === 401 && !(isDiscovery && server === Hop.CLIENT_PROXY);
  if (!isRaw || asksAgain) return { status: http, contentType: "application/json", body: statusBody(error) };
  const status = http >= 500 || http === 429 || http === 401 ? 502 : 403;
  return { status, contentType: "text/plain; charset=utf-8", body: sentence(error) };
}
