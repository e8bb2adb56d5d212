/** A frame's type (RFC 9113, 6). */
const TYPES = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, windowUpdate: 8, continuation: 9 };
const END_HEADERS = 0x4;
const CANCEL = 8;

/** What a client says first (RFC 9113, 3.4): the preface and empty settings. */
export const CLIENT_PREFACE = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame("settings", 0, 0)]);

/** One frame, by hand: for what no client library sends. */
function frame(type: keyof typeof TYPES, flags: number, streamId: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(TYPES[type], 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** A header field that is not put into the table (RFC 7541, 6.2.2). Texts of up to 126 bytes. */
function field(name: string, value: string): Buffer {
  const text = (of: string): Buffer => Buffer.concat([Buffer.from([of.length]), Buffer.from(of)]);
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

/** The head of a gRPC call, complete. */
export function openCall(streamId: number, path: string): Buffer {
  const fields: [string, string][] = [
    [":method", "POST"],
    [":scheme", "https"],
    [":path", path],
    [":authority", "127.0.0.1"],
    ["content-type", "application/grpc+proto"],
    ["te", "trailers"],
  ];
  return frame("headers", END_HEADERS, streamId, Buffer.concat(fields.map(([name, value]) => field(name, value))));
}

/** The head of a call that is never complete: CONTINUATION frames are to follow. */
export function beginHead(streamId: number): Buffer {
  return frame("headers", 0, streamId, field(":method", "POST"));
}

/** More of that head. */
export function continueHead(streamId: number): Buffer {
  return frame("continuation", 0, streamId, field("x-flood", "x".repeat(100)));
}

export const cancelCall = (streamId: number): Buffer => frame("reset", 0, streamId, Buffer.from([0, 0, 0, CANCEL]));
export const settings = (): Buffer => frame("settings", 0, 0);
export const ping = (): Buffer => frame("ping", 0, 0, Buffer.alloc(8));
export const emptyData = (streamId: number): Buffer => frame("data", 0, streamId);
/** One byte more of window for the whole connection. */
export const windowUpdate = (): Buffer => frame("windowUpdate", 0, 0, Buffer.from([0, 0, 0, 1]));
