import { createHash } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import { signMachO } from "./sign-mach-o.ts";

const PAGE = 4096;

/** A Mach-O file of two segments, of which the first has room for more commands. */
function machO(): Buffer {
  const file = Buffer.alloc(3 * PAGE + 5, 7);
  file.fill(0, 0, PAGE);
  file.writeUInt32LE(0xfeedfacf, 0);
  file.writeUInt32LE(2, 16);
  file.writeUInt32LE(144, 20);
  for (const [i, { name, offset, bytes }] of [
    { name: "__TEXT", offset: 0, bytes: 2 * PAGE },
    { name: "__LINKEDIT", offset: 2 * PAGE, bytes: PAGE + 5 },
  ].entries()) {
    const at = 32 + i * 72;
    file.writeUInt32LE(0x19, at);
    file.writeUInt32LE(72, at + 4);
    file.write(name, at + 8, "latin1");
    file.writeBigUInt64LE(BigInt(offset), at + 40);
    file.writeBigUInt64LE(BigInt(bytes), at + 48);
  }
  return file;
}

describe("an ad-hoc signature", () => {
  const signed = signMachO(machO(), "fairlead");
  const [at, bytes] = [signed.readUInt32LE(32 + 144 + 8), signed.readUInt32LE(32 + 144 + 12)];

  it("is the end of the file and of its last segment, where a load command says that it is", () => {
    expect([signed.readUInt32LE(16), signed.readUInt32LE(20)]).toEqual([3, 160]);
    expect([signed.readUInt32LE(32 + 144), signed.readUInt32LE(32 + 148)]).toEqual([0x1d, 16]);
    expect(at % 16).toBe(0);
    expect(at + bytes).toBe(signed.length);
    const linkEdit = 32 + 72;
    expect(signed.readBigUInt64LE(linkEdit + 40) + signed.readBigUInt64LE(linkEdit + 48)).toBe(BigInt(signed.length));
  });

  it("has the hash of each page before it", () => {
    const directory = signed.subarray(at + signed.readUInt32BE(at + 16));
    expect(directory.readUInt32BE(32)).toBe(at);
    const hashes = directory.readUInt32BE(16);
    for (let page = 0; page * PAGE < at; page++) {
      const hash = createHash("sha256").update(signed.subarray(page * PAGE, Math.min((page + 1) * PAGE, at)));
      expect(directory.subarray(hashes + page * 32, hashes + page * 32 + 32)).toEqual(hash.digest());
    }
  });

  it("is not put into a file that has one, or has no room for the command", () => {
    expect(() => signMachO(signed, "fairlead")).toThrow("there is a signature already");
    const full = machO();
    full.fill(1, 32 + 144, PAGE);
    expect(() => signMachO(full, "fairlead")).toThrow("there is no room");
  });
});
