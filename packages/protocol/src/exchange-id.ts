import { randomFillSync } from "node:crypto";

const ID_BYTES = 16;
/** Random bytes are drawn for many ids at once: each draw alone costs more than the rest of a request's head. */
const drawn = Buffer.alloc(ID_BYTES * 256);
let used = drawn.length;

/** Makes a new exchange id: the 16 bytes of a random UUID (RFC 9562, version 4). */
export function newExchangeId(): Uint8Array {
  if (used === drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  const id = Buffer.from(drawn.subarray(used, used + ID_BYTES));
  used += ID_BYTES;
  id.writeUInt8((id.readUInt8(6) & 0x0f) | 0x40, 6);
  id.writeUInt8((id.readUInt8(8) & 0x3f) | 0x80, 8);
  return id;
}

/** Writes an exchange id as a UUID. */
export function exchangeIdText(id: Uint8Array): string {
  const hex = Buffer.from(id.buffer, id.byteOffset, id.length).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
