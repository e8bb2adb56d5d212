import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clusterOf } from "@fairlead/agent-identity";
import { CertificateAuthority, requestedKey } from "@fairlead/certificates";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentAuthority } from "./agent-authority.ts";

const HOUR_MS = 3_600_000;
let folder: string;
let files: { certFile: string; keyFile: string };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  files = { certFile: join(folder, "agents.crt"), keyFile: join(folder, "agents.key") };
});

afterEach(() => rm(folder, { recursive: true }));

const open = () => AgentAuthority.open(files, HOUR_MS);
const certified = async (authority: AgentAuthority) => authority.certify((await requestedKey()).request, "prod");

/** Writes an authority of these certificates, with the key of the first or of another. */
async function write(authorities: CertificateAuthority[], keyOf = authorities[0]): Promise<void> {
  await writeFile(files.certFile, authorities.map(({ pem }) => pem).join("\n"));
  await writeFile(files.keyFile, (await keyOf?.keyPem()) ?? "");
}

describe("an authority", () => {
  it("is made at the first start, its key for the relay's user only, and is the same at the next", async () => {
    const certificate = await certified(await open());
    expect((await stat(files.keyFile)).mode & 0o777).toBe(0o600);
    const [trusted] = (await open()).trusted;
    expect(trusted && certificate.verify(trusted.publicKey)).toBe(true);
  });

  it("says in a certificate whose agent it is, for how long, and that it is a client's and no authority's", async () => {
    const certificate = await certified(await open());
    expect([clusterOf(certificate), certificate.subject, certificate.ca]).toEqual(["prod", "CN=prod", false]);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(Math.abs(certificate.validToDate.getTime() - Date.now() - HOUR_MS)).toBeLessThan(5_000);
  });

  it("certifies the request's key, whatever names it has", async () => {
    const { key, request } = await requestedKey();
    const certificate = await (await open()).certify(request, "prod");
    expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(certificate.subject).not.toContain("agent");
  });

  it.each<[what: string, change: (der: Buffer) => Buffer]>([
    ["that is empty", () => Buffer.alloc(0)],
    ["that is no DER", () => Buffer.from("-----BEGIN")],
    ["whose signature was changed", (der) => Buffer.concat([der.subarray(0, -1), Buffer.of((der.at(-1) ?? 0) ^ 1)])],
  ])("certifies no request %s", async (_what, change) => {
    const { request } = await requestedKey();
    await expect((await open()).certify(change(Buffer.from(request)), "prod")).rejects.toThrow();
  });

  it("trusts the one before while it is replaced, and signs by the new one", async () => {
    const [before, after] = [await CertificateAuthority.create("a", 1), await CertificateAuthority.create("b", 1)];
    await write([before]);
    const old = await certified(await open());
    await write([after, before]);
    const both = await open();
    const fresh = await certified(both);
    expect(both.trusted.filter(({ publicKey }) => old.verify(publicKey))).toHaveLength(1);
    expect(fresh.verify(new X509Certificate(after.pem).publicKey)).toBe(true);
  });

  it("is not opened with the key of another, and says which files", async () => {
    await write([await CertificateAuthority.create("a", 1)], await CertificateAuthority.create("b", 1));
    await expect(open()).rejects.toThrow(/agents\.key: not the key of the first certificate in .*agents\.crt/);
  });

  it("is not opened without a certificate, and not made anew over a key that is there", async () => {
    await write([await CertificateAuthority.create("a", 1)]);
    await writeFile(files.certFile, "nothing");
    await expect(open()).rejects.toThrow(/agents\.crt: there is no certificate in it/);
    await rm(files.certFile);
    const key = await readFile(files.keyFile, "utf8");
    await expect(open()).rejects.toThrow(/ENOENT.*agents\.crt/);
    expect(await readFile(files.keyFile, "utf8")).toBe(key);
  });
});
