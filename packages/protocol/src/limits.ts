/** Most bytes of a body that one frame carries. */
export const MAX_FRAME_DATA_BYTES = 64 * 1024;

/** The most that protobuf adds to a frame's data, in bytes: tags, lengths and the offset. */
export const DATA_OVERHEAD_BYTES = 64;

/** Most bytes of a request's or response's line and headers, as kube-apiserver has it (Go's http.DefaultMaxHeaderBytes). */
export const MAX_HEAD_BYTES = 1024 * 1024;

/** Most bytes of a credential's token and proof: a token that is longer counts nowhere. */
export const MAX_CREDENTIAL_BYTES = 256 * 1024;

/** Most bytes of one message on a lane: a head, an inline body, and what protobuf adds to each header. */
export const MAX_MESSAGE_BYTES = MAX_HEAD_BYTES * 2 + MAX_FRAME_DATA_BYTES;

/** Most bytes of an error's sentence: with the Status around it, it stays under the 1,024 bytes of MAX_STATUS_BYTES. */
export const MAX_ERROR_MESSAGE_BYTES = 700;

/** Most bytes of a Status body: a refused WebSocket handshake is read no further (gorilla/websocket, client.go). */
export const MAX_STATUS_BYTES = 1024;

/** Most lanes that an agent opens to one relay. Below what one HTTP/2 connection takes (MAX_LANES_PER_CONNECTION). */
export const MAX_AGENT_LANES = 6_000;

/** Most exchanges at once that a relay may allow one cluster: the agent's other lanes are idle, opening or just cut. */
export const MAX_CLUSTER_EXCHANGES = 5_000;

/** How long a request waits, before it has gone on, for a relay or an agent that is just away, in milliseconds. */
export const LANE_WAIT_MS = 4_000;

/**
 * How long the requester of a lane without an exchange has to end it once its server is stopping, in milliseconds. Only
 * the requester knows that no request is on its way; a server that ends it could lose one.
 */
export const REQUESTER_ENDS_MS = 2_000;
