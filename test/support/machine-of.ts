const ELF: Record<number, string> = { 62: "linux-x64", 183: "linux-arm64" };
const MACH_O: Record<number, string> = { 16777223: "darwin-x64", 16777228: "darwin-arm64" };
const PE: Record<number, string> = { 34404: "windows-x64", 43620: "windows-arm64" };

/** For which system and processor a program is, by its own header; "nothing known" if it is no program of the three. */
export function machineOf(file: Buffer): string {
  const known = (table: Record<number, string>, machine: number): string => table[machine] ?? "nothing known";
  if (file.toString("latin1", 0, 4) === "\x7fELF") return known(ELF, file.readUInt16LE(18));
  if (file.readUInt32LE(0) === 0xfeedfacf) return known(MACH_O, file.readUInt32LE(4));
  const header = file.readUInt32LE(0x3c);
  if (file.toString("latin1", 0, 2) === "MZ" && file.toString("latin1", header, header + 4) === "PE\0\0") {
    return known(PE, file.readUInt16LE(header + 4));
  }
  return "nothing known";
}
