import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { readProofKey } from "./read-proof-key.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function file(text: string): Promise<string> {
  const path = join(folder, "key.pem");
  await writeFile(path, text);
  return path;
}

const pem = (curve: string): string =>
  generateKeyPairSync("ec", { namedCurve: curve }).privateKey.export({ type: "sec1", format: "pem" }).toString();

describe("the key that a token is bound to", () => {
  it("is read from its file", async () => {
    expect((await readProofKey(await file(pem("P-256")))).thumbprint).toMatch(/^[\w-]{43}$/);
  });

  it.each<[what: string, text: string, says: RegExp]>([
    ["of another curve", pem("P-384"), /P-256/],
    ["no key", "nothing", /cannot be used/],
  ])("is refused with what to do: %s", async (_what, text, says) => {
    await expect(readProofKey(await file(text))).rejects.toMatchObject({
      code: ErrorCode.MALFORMED_REQUEST,
      hop: Hop.CLIENT_PROXY,
      message: expect.stringMatching(says),
    });
    await expect(readProofKey(await file(text))).rejects.toThrow(/openssl ecparam/);
  });

  it("is refused when the file is not there, by its name", async () => {
    await expect(readProofKey(join(folder, "missing.pem"))).rejects.toThrow(/missing\.pem/);
  });
});
