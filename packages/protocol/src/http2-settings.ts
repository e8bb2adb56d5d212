import type { ClientSessionOptions, Http2Session, ServerOptions } from "node:http2";

/** What one lane may have in flight before its reader has read it, in bytes (HTTP/2's stream window, RFC 9113, 5.2). */
const LANE_WINDOW_BYTES = 1024 * 1024;
/** The same for all lanes of one connection. node takes the connection's window up as bytes come, not as they are read. */
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
/** Most lanes on one connection. */
const MAX_LANES_PER_CONNECTION = 10_000;
/** node refuses new streams of a session that holds more than this, in megabytes. */
const MAX_SESSION_MEMORY_MB = 256;

/** Settings of a server that lanes come to. */
export const LANE_SERVER_OPTIONS: ServerOptions = {
  settings: { initialWindowSize: LANE_WINDOW_BYTES, maxConcurrentStreams: MAX_LANES_PER_CONNECTION },
  maxSessionMemory: MAX_SESSION_MEMORY_MB,
};

/** Settings of a client of lanes. */
export const LANE_CLIENT_OPTIONS: ClientSessionOptions = {
  settings: { initialWindowSize: LANE_WINDOW_BYTES, enablePush: false },
  maxSessionMemory: MAX_SESSION_MEMORY_MB,
};

/** Widens a new session's connection window, which the settings do not reach (RFC 9113, 6.9.2). */
export function widenConnectionWindow(session: Http2Session): void {
  session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
}
