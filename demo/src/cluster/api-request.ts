import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Identity } from "./access/authentication.ts";
import { StatusError } from "./status.ts";

/** One authenticated request on its way to an answer. */
export interface ApiRequest {
  incoming: IncomingMessage;
  response: ServerResponse;
  url: URL;
  identity: Identity;
  /** Aborts when the client goes away or the demo cluster closes. */
  signal: AbortSignal;
}

/** Sends one complete JSON answer. */
export function sendJson(
  response: ServerResponse,
  code: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(code, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-cache, private",
    ...headers,
  });
  response.end(text);
}

/** Sends an error as a Status. */
export function sendStatusError(response: ServerResponse, error: StatusError): void {
  // The rest of a refused body is not read, so the connection cannot carry another request.
  const headers: Record<string, string> = error.reason === "RequestEntityTooLarge" ? { connection: "close" } : {};
  if (error.reason === "Unauthorized") headers["www-authenticate"] = 'Bearer realm="fairlead-demo"';
  sendJson(response, error.code, error.toStatus(), headers);
}

/**
 * Writes one chunk of a streamed answer and waits while the client does not read.
 * @param stallMs how long the client may leave the stream full; without it the wait has no end but the signal's
 * @throws the abort reason when the client goes away; StatusError Timeout when it stalls
 */
export async function writeChunk(
  response: ServerResponse,
  chunk: string,
  signal: AbortSignal,
  stallMs?: number,
): Promise<void> {
  signal.throwIfAborted();
  if (response.write(chunk)) return;
  const patience = stallMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(stallMs)]);
  try {
    await once(response, "drain", { signal: patience });
  } catch {
    signal.throwIfAborted();
    throw new StatusError("Timeout", "the client does not read its stream");
  }
}
