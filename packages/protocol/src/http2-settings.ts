import type { ClientSessionOptions, ServerOptions } from "node:http2";
import { FIRST_WINDOW_BYTES } from "./receive-windows.ts";

/** Most lanes on one connection. */
const MAX_LANES_PER_CONNECTION = 10_000;
/** node refuses new streams of a session that holds more than this, in megabytes. */
const MAX_SESSION_MEMORY_MB = 256;

/** Settings of a server that lanes come to. */
export const LANE_SERVER_OPTIONS: ServerOptions = {
  settings: { initialWindowSize: FIRST_WINDOW_BYTES, maxConcurrentStreams: MAX_LANES_PER_CONNECTION },
  maxSessionMemory: MAX_SESSION_MEMORY_MB,
};

/** Settings of a client of lanes. */
export const LANE_CLIENT_OPTIONS: ClientSessionOptions = {
  settings: { initialWindowSize: FIRST_WINDOW_BYTES, enablePush: false },
  maxSessionMemory: MAX_SESSION_MEMORY_MB,
};
