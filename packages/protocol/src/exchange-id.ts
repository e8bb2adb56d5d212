import { randomBytes } from "node:crypto";

/** Makes a new exchange id: the 16 bytes of a random UUID (RFC 9562, version 4). */
export function newExchangeId(): Uint8Array {
  const id = randomBytes(16);
  id.writeUInt8((id.readUInt8(6) & 0x0f) | 0x40, 6);
  id.writeUInt8((id.readUInt8(8) & 0x3f) | 0x80, 8);
  return id;
}

/** Writes an exchange id as a UUID. */
export function exchangeIdText(id: Uint8Array): string {
  return Buffer.from(id)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
