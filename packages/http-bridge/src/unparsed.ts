import type { Duplex } from "node:stream";
import { ErrorCode, errorCodeName, FairleadError, type Hop, hopName } from "@fairlead/protocol";
import { ERROR_HEADER, statusBody } from "./status.ts";

/** How long what a refused client still sends is thrown away, in milliseconds: a reset would take our answer from it. */
const LINGER_MS = 2_000;

/**
 * Answers what node's parser refused, with a Status where it can, and closes the connection.
 *
 * @param error of node's event `clientError`
 * @param hop the hop that refuses
 */
export function refuseUnparsed(error: NodeJS.ErrnoException, socket: Duplex, hop: Hop): void {
  if (socket.writableEnded) return; // more of what was refused already
  if (!socket.writable) return void socket.destroy();
  const tooLarge = error.code === "HPE_HEADER_OVERFLOW";
  const fault = tooLarge
    ? new FairleadError(
        ErrorCode.HEAD_TOO_LARGE,
        hop,
        "the request's line and headers are larger than 1 MiB; shorten the command or the token",
      )
    : new FairleadError(ErrorCode.MALFORMED_REQUEST, hop, "the request is not valid HTTP/1.1");
  const body = statusBody(fault);
  const line = tooLarge ? "431 Request Header Fields Too Large" : "400 Bad Request";
  const headers = [
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `${ERROR_HEADER}: ${errorCodeName(fault.code)}; hop="${hopName(fault.hop)}"`,
    "Connection: close",
  ];
  socket.end(`HTTP/1.1 ${line}\r\n${headers.join("\r\n")}\r\n\r\n${body}`);
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
