import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority, type CertifiedKey } from "@fairlead/certificates";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { type PortTls, TlsFiles } from "./tls-files.ts";

let folder: string;
let authority: CertificateAuthority;
let files: TlsFiles;
let logged: string[];
const paths = () => ({ certFile: join(folder, "tls.crt"), keyFile: join(folder, "tls.key") });
const log = () => {
  const write = (fields: object, text: string) => void logged.push(`${text} ${JSON.stringify(fields)}`);
  return { info: write, error: write } as unknown as Logger;
};

beforeEach(async () => {
  logged = [];
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  authority = await CertificateAuthority.create("authority", 1);
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const issue = () => authority.issue({ commonName: "relay", hosts: ["relay.example.com"], days: 1 });
async function write({ cert, key }: CertifiedKey): Promise<void> {
  await writeFile(paths().certFile, cert);
  await writeFile(paths().keyFile, key);
}
let renewed: PortTls[];
const look = () => files.look((tls) => renewed.push(tls));
const open = async () => {
  files = await TlsFiles.open(paths(), log());
  renewed = [];
};

describe("the relay's certificate", () => {
  it("is read at once, and told again only when it is another one", async () => {
    await write(await issue());
    await open();
    await look();
    expect(renewed).toEqual([]);
    const next = await issue();
    await write(next);
    await look();
    expect(renewed.map(({ cert }) => cert.toString())).toEqual([next.cert]);
    expect(files.current.key.toString()).toBe(next.key);
  });

  it("is kept while the new one cannot be used, which is told once, and taken when it can", async () => {
    const [first, second] = [await issue(), await issue()];
    await write(first);
    await open();
    await writeFile(paths().certFile, second.cert); // the key is not there yet
    await look();
    await look();
    expect(renewed).toEqual([]);
    expect(logged).toEqual([
      expect.stringMatching(/^the relay's new certificate cannot be used .*key values mismatch/),
    ]);
    await writeFile(paths().keyFile, second.key);
    await look();
    expect(renewed).toHaveLength(1);
  });

  it("is looked at every 10 s", async () => {
    await write(await issue());
    await open();
    jest.useFakeTimers();
    const looks = jest.spyOn(files, "look").mockResolvedValue();
    files.watch(() => {});
    jest.advanceTimersByTime(30_000);
    files.stop();
    jest.advanceTimersByTime(30_000);
    jest.useRealTimers();
    expect(looks).toHaveBeenCalledTimes(3);
  });

  it("has to be there, with its key, when the relay starts", async () => {
    await expect(TlsFiles.open(paths(), log())).rejects.toThrow(/ENOENT/);
    await write({ cert: (await issue()).cert, key: (await issue()).key });
    await expect(TlsFiles.open(paths(), log())).rejects.toThrow(/key values mismatch/);
  });
});
