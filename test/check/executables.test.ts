import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { NODE_FLAGS } from "@fairlead/service";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { machineOf } from "../support/machine-of.ts";

const BUILD = createRequire(import.meta.url).resolve("@fairlead/executables/main");
const OURS = `linux-${process.arch}`;
const ALL = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "windows-x64", "windows-arm64"];
/** All are 700 MB, and what they are made of is 250 MB to fetch. */
const TARGETS = process.env.FAIRLEAD_EXECUTABLES === "all" ? ALL : [OURS];
const TIMEOUT_MS = 600_000;
const AUTHENTICATION = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer: { url: "https://issuer.example.com", audiences: [fairlead] }
    claimMappings: { username: { claim: sub, prefix: "" } }
`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-executables-"));
  await promisify(execFile)(process.execPath, [BUILD, "--out", folder, "--target", ...TARGETS]);
}, TIMEOUT_MS);

afterAll(() => rm(folder, { recursive: true }));

/** Runs this machine's, without anything of the machine in its environment. */
async function run(...args: string[]): Promise<{ code: number; out: string; told: string }> {
  const env = { HOME: folder, FAIRLEAD_TOKEN: "a-token" };
  return new Promise((resolve) => {
    execFile(join(folder, `fairlead-${OURS}`), args, { env }, (error, out, told) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, told });
    });
  });
}

describe("the executable of this machine", () => {
  it("says its version and its commands", async () => {
    expect(await run("--version")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      told: "",
    });
    expect(await run("--help")).toMatchObject({ code: 0, out: expect.stringMatching(/^ {2}proxy {2}/m), told: "" });
  });

  it("is a plugin of kubectl's under another name", async () => {
    for (const name of ["kubectl-fairlead", "kubectl_complete-fairlead"]) {
      await symlink(`fairlead-${OURS}`, join(folder, name));
    }
    const { stdout: usage } = await promisify(execFile)(join(folder, "kubectl-fairlead"), ["--help"]);
    expect(usage).toMatch(/^Usage: kubectl fairlead /);
    const { stdout: words } = await promisify(execFile)(join(folder, "kubectl_complete-fairlead"), ["acc"]);
    expect(words).toMatch(/^access\t.*\n:4\n$/);
  });

  it("answers without a relay where none is needed", async () => {
    const { code, out, told } = await run("rbac");
    expect([code, told]).toEqual([0, ""]);
    expect(out).toMatch(/^apiVersion: rbac.authorization.k8s.io\/v1\nkind: ClusterRole\n/);
  });

  it("says in one sentence that the relay cannot be reached, and exits 1", async () => {
    const { code, out, told } = await run("clusters", "--relay", "https://127.0.0.1:1");
    expect([code, out]).toEqual([1, ""]);
    expect(told).toMatch(/^error: fairlead: relay: the relay https:\/\/127.0.0.1:1 cannot be reached: .*\n$/);
  });

  it("has the manifests in it by which a cluster is connected", async () => {
    const file = join(folder, "auth.yaml");
    await writeFile(file, AUTHENTICATION);
    const args = ["connect", "prod", "--relay", "https://relay.example.com", "--authentication", file, "--dry-run"];
    const { code, out, told } = await run(...args);
    expect([code, told]).toEqual([0, ""]);
    expect(out).toMatch(/\nkind: Deployment\n/);
    expect(out).toMatch(/"?https:\/\/relay.example.com"?/);
  });
});

describe.each(TARGETS)("the executable for %s", (target) => {
  const name = `fairlead-${target}${target.startsWith("windows") ? ".exe" : ""}`;

  it("is of its system and processor, and has the program, node's flags and its licences with it", async () => {
    const file = await readFile(join(folder, name));
    expect(machineOf(file)).toBe(target);
    for (const part of [
      "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:1",
      "accept no inbound connection",
      ...NODE_FLAGS,
    ]) {
      expect([part, file.includes(part)]).toEqual([part, true]);
    }
    expect(await readFile(join(folder, "LICENCES"), "utf8")).toMatch(/^== @connectrpc\/connect-node@/m);
  });

  it("has its sum in SHA256SUMS", async () => {
    const sum = createHash("sha256")
      .update(await readFile(join(folder, name)))
      .digest("hex");
    expect(await readFile(join(folder, "SHA256SUMS"), "utf8")).toMatch(new RegExp(`^${sum}  ${name}$`, "m"));
  });
});
