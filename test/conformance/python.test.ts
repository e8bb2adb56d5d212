import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";
import { setScene } from "../support/scene.ts";

const { cluster } = await setScene();
const script = resolve(import.meta.dirname, "../../examples/python/run.sh");

describe("a client in Python on stock grpcio", () => {
  it("lists the namespaces and follows a watch on one lane", async () => {
    const { code, stdout } = await runExample(["--watch", "/api/v1/namespaces", "--events", "2"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^namespace default$/m);
    expect(stdout.match(/^ADDED namespace /gm)).toHaveLength(2);
  });

  it("is told in one line that its token is refused", async () => {
    const tokenFile = join(cluster.testbed.dir, "no-token");
    await writeFile(tokenFile, "not-a-token");
    const { code, stderr } = await runExample(["--token-file", tokenFile]);
    expect(code).toBe(1);
    expect(stderr.trim()).toMatch(/^[^\n]*the token is refused[^\n]*TOKEN_REFUSED[^\n]*$/);
  });

  it("is told in one line that there is no such cluster", async () => {
    const { code, stderr } = await runExample(["--cluster", "nowhere"]);
    expect(code).toBe(1);
    expect(stderr.trim()).toMatch(/^[^\n]*there is no cluster nowhere[^\n]*CLUSTER_UNKNOWN[^\n]*$/);
  });
});

async function runExample(args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { relayUrl, relayCa, tokenFile, cluster: name } = cluster.client;
  const standard = ["--relay", relayUrl, "--relay-ca", relayCa, "--token-file", tokenFile, "--cluster", name];
  try {
    return { code: 0, ...(await promisify(execFile)(script, [...standard, ...args], { timeout: 110_000 })) };
  } catch (error) {
    const { code, stdout, stderr } = Object(error);
    return { code: Number(code), stdout: String(stdout), stderr: String(stderr) };
  }
}
