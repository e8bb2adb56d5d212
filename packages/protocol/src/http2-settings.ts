import type { ClientSessionOptions, ServerOptions } from "node:http2";
import { FIRST_WINDOW_BYTES } from "./receive-windows.ts";

/** Most lanes on one connection. */
const MAX_LANES_PER_CONNECTION = 10_000;
/** node refuses new streams of a session that holds more than this, in megabytes. */
const MAX_SESSION_MEMORY_MB = 256;

/**
 * How many lanes a peer may reset at once, and how many a second after that, before its connection is ended. To cancel
 * is to reset a lane, and the agent passes on what all users of a cluster cancel: by nghttp2's own limits against rapid
 * resets (1,000 and 33, CVE-2023-44487) one user with many watches would end everybody's exchanges. Over these, a peer
 * costs less than its exchanges do, which the relay limits.
 */
const RESETS_AT_ONCE = 10_000;
const RESETS_PER_SECOND = 1_000;

/** Settings of a server that lanes come to. */
export const LANE_SERVER_OPTIONS: ServerOptions = {
  streamResetBurst: RESETS_AT_ONCE,
  streamResetRate: RESETS_PER_SECOND,
  settings: { initialWindowSize: FIRST_WINDOW_BYTES, maxConcurrentStreams: MAX_LANES_PER_CONNECTION },
  maxSessionMemory: MAX_SESSION_MEMORY_MB,
};

/** Settings of a client of lanes. */
export const LANE_CLIENT_OPTIONS: ClientSessionOptions = {
  settings: { initialWindowSize: FIRST_WINDOW_BYTES, enablePush: false },
  maxSessionMemory: MAX_SESSION_MEMORY_MB,
};
