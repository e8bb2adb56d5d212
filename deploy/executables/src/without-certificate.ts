/** Where the PE header begins (PE format, MS-DOS stub). */
const PE_OFFSET = 0x3c;
/** Its optional header, and in that of 64 bits the entry of the certificate table: number 4, 8 bytes each. */
const OPTIONAL_HEADER = 24;
const CERTIFICATE_ENTRY = 112 + 4 * 8;

/**
 * Takes node's signature off a Windows program: with another program in it, it would be a forged one, which some systems
 * refuse where they only warn of none.
 */
export function withoutCertificate(file: Buffer): Buffer {
  const entry = file.readUInt32LE(PE_OFFSET) + OPTIONAL_HEADER + CERTIFICATE_ENTRY;
  const at = file.readUInt32LE(entry); // an offset in the file, in this entry alone
  const rest = Buffer.from(file.subarray(0, at === 0 ? file.length : at));
  rest.writeBigUInt64LE(0n, entry);
  return rest;
}
