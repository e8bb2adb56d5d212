import type { StreamingProtocol } from "./kubectl-versions.ts";

const SUCCESS = Buffer.from(JSON.stringify({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" }));
/** A data frame of the first stream, which is the error stream, and the last one of it (SPDY 3.1, 2.2). */
const SPDY_HEAD = Buffer.from([0, 0, 0, 1, 1, 0, 0, SUCCESS.length]);
/** A whole message of channel 3 (KEP 4006), and a normal close. */
const WEBSOCKET_HEAD = Buffer.from([0x82, SUCCESS.length + 1, 3]);
const WEBSOCKET_CLOSE = Buffer.from([0x88, 0x02, 0x03, 0xe8]);

/** The bytes by which a cluster says that an exec's command has succeeded, for who sits between to make up. */
export function forgedResult(protocol: StreamingProtocol | undefined): Buffer {
  if (protocol === "WebSocket") return Buffer.concat([WEBSOCKET_HEAD, SUCCESS, WEBSOCKET_CLOSE]);
  return Buffer.concat([SPDY_HEAD, SUCCESS]);
}
