import type { ServerResponse } from "node:http";
import { errorCodeName, errorMapping, type FairleadError, hopName } from "@fairlead/protocol";

/**
 * Tells our own answers from the cluster's: the error's code and the hop that failed, such as
 * `AGENT_NOT_CONNECTED; hop="agent"`. The apiserver's answers never carry it.
 */
export const ERROR_HEADER = "Fairlead-Error";

/**
 * An error as a Kubernetes Status object (k8s.io/apimachinery, meta/v1), under 1,024 bytes.
 * kubectl prints its message.
 */
export function statusBody(error: FairleadError): string {
  const { http, reason } = errorMapping(error.code);
  return JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: sentence(error),
    reason,
    code: http,
  });
}

/** The sentence that a person reads: the hop, what failed, what to do. */
export function sentence(error: FairleadError): string {
  return `fairlead: ${hopName(error.hop)}: ${error.message}`;
}

/** Answers a request whose head was not answered yet with a Status, and closes the connection after it. */
export function sendStatus(response: ServerResponse, error: FairleadError): void {
  const body = Buffer.from(statusBody(error));
  response.writeHead(errorMapping(error.code).http, {
    "Content-Type": "application/json",
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    [ERROR_HEADER]: `${errorCodeName(error.code)}; hop="${hopName(error.hop)}"`,
    ...(error.retryAfterSeconds > 0 && { "Retry-After": error.retryAfterSeconds }),
  });
  response.end(body);
}
