import { createHash } from "node:crypto";

// Apple's headers: mach-o/loader.h, and kern/cs_blobs.h of xnu.
const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;
const EMBEDDED_SIGNATURE = 0xfade0cc0;
const CODE_DIRECTORY = 0xfade0c02;
/** The oldest version of the directory that says which segment is executed. */
const VERSION = 0x20400;
/** Signed by nobody, as a linker does: a later signature may replace it. */
const ADHOC_LINKER_SIGNED = 0x20002;
const SHA256 = 2;
const MAIN_BINARY = 1n;
const PAGE_BITS = 12;
const MACH_HEADER_BYTES = 32;
const COMMAND_BYTES = 16;
const HEADER_BYTES = 20;
const DIRECTORY_BYTES = 88;
const SIGNATURE_ALIGNMENT = 16;
/** Segments end at pages of the largest size that macOS has, in bytes. */
const SEGMENT_PAGE = 0x4000n;

/**
 * Signs a thin 64-bit Mach-O file ad hoc: macOS runs no program for arm64 without. It is what Go's linker does, on every
 * system (cmd/internal/codesign): a hash of each page, and nobody's name.
 *
 * @param file without a signature
 * @param identifier a name in the signature, which means nothing when it is nobody's
 * @throws Error if the file has a signature, or no room for the command that says where one is
 */
export function signMachO(file: Buffer, identifier: string): Buffer {
  const codeBytes = Math.ceil(file.length / SIGNATURE_ALIGNMENT) * SIGNATURE_ALIGNMENT;
  const pages = Math.ceil(codeBytes / 2 ** PAGE_BITS);
  const hashOffset = DIRECTORY_BYTES + identifier.length + 1;
  const signature = Buffer.alloc(HEADER_BYTES + hashOffset + pages * 32);
  const code = Buffer.concat([file], codeBytes); // what is hashed says already where the signature is
  const text = addCommand(code, signature.length);

  words(signature, 0, [EMBEDDED_SIGNATURE, signature.length, 1, 0, HEADER_BYTES]);
  const directory = signature.subarray(HEADER_BYTES);
  words(directory, 0, [CODE_DIRECTORY, directory.length, VERSION, ADHOC_LINKER_SIGNED, hashOffset, DIRECTORY_BYTES]);
  words(directory, 24, [0, pages, codeBytes]);
  directory.set([32, SHA256, 0, PAGE_BITS], 36);
  directory.writeBigUInt64BE(text.offset, 64);
  directory.writeBigUInt64BE(text.bytes, 72);
  directory.writeBigUInt64BE(MAIN_BINARY, 80);
  directory.write(`${identifier}\0`, DIRECTORY_BYTES, "latin1");
  for (let page = 0; page < pages; page++) {
    const bytes = code.subarray(page * 2 ** PAGE_BITS, (page + 1) * 2 ** PAGE_BITS);
    directory.set(createHash("sha256").update(bytes).digest(), hashOffset + page * 32);
  }
  return Buffer.concat([code, signature]);
}

/** Says in the load commands that a signature follows, as part of the last segment. @returns the one that is executed */
function addCommand(code: Buffer, signatureBytes: number): { offset: bigint; bytes: bigint } {
  const segments = new Map<string, number>();
  let at = MACH_HEADER_BYTES;
  for (let left = code.readUInt32LE(16); left > 0; left--) {
    const type = code.readUInt32LE(at);
    if (type === LC_CODE_SIGNATURE) throw new Error("there is a signature already");
    if (type === LC_SEGMENT_64) segments.set(code.toString("latin1", at + 8, at + 24).replace(/\0+$/, ""), at);
    at += code.readUInt32LE(at + 4);
  }
  const [text, last] = [segments.get("__TEXT"), segments.get("__LINKEDIT")];
  if (text === undefined || last === undefined || code.readBigUInt64LE(at) + code.readBigUInt64LE(at + 8) !== 0n) {
    throw new Error("there is no room for the place of a signature");
  }
  for (const [i, value] of [LC_CODE_SIGNATURE, COMMAND_BYTES, code.length, signatureBytes].entries()) {
    code.writeUInt32LE(value, at + i * 4);
  }
  code.writeUInt32LE(code.readUInt32LE(16) + 1, 16);
  code.writeUInt32LE(code.readUInt32LE(20) + COMMAND_BYTES, 20);
  const lastBytes = BigInt(code.length + signatureBytes) - code.readBigUInt64LE(last + 40);
  code.writeBigUInt64LE(((lastBytes + SEGMENT_PAGE - 1n) / SEGMENT_PAGE) * SEGMENT_PAGE, last + 32);
  code.writeBigUInt64LE(lastBytes, last + 48);
  return { offset: code.readBigUInt64LE(text + 40), bytes: code.readBigUInt64LE(text + 48) };
}

/** Signatures are big-endian, in a file that is not. */
function words(target: Buffer, at: number, values: readonly number[]): void {
  for (const [i, value] of values.entries()) target.writeUInt32BE(value, at + i * 4);
}
