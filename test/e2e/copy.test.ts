import { createHash, randomFillSync } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, it } from "@jest/globals";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { setScene } from "../support/scene.ts";

const { cluster, describeWithNode } = await setScene();

const bytes = 100 * 1024 * 1024;

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk);
  }
  return hash.digest("hex");
}

describeWithNode.each(streamingKubectls(cluster))("cp with $name", ({ kubectl }) => {
  let dir: string;

  beforeAll(async () => {
    // The pod's files are this machine's files, so both ends of a copy lie in here.
    dir = await mkdtemp(join(cluster.testbed.dir, "copy-"));
  });

  /** Over WebSocket the apiserver may end one early on a busy machine; retries resume there (ADR 32). */
  async function copy(from: string, to: string): Promise<void> {
    const retries = kubectl.protocol === "WebSocket" ? ["--retries=5"] : [];
    const { code, stderr } = await kubectl.run(["cp", ...retries, from, to]);
    expect(`${code} ${stderr}`).toMatch(/^0 /);
  }

  it("copies 100 MiB into a pod and back without changing a byte", async () => {
    const [here, inPod, back] = ["here", "in-pod", "back"].map((name) => join(dir, name)) as [string, string, string];
    await writeFile(here, randomFillSync(Buffer.allocUnsafe(bytes)));
    const expected = await sha256(here);

    await copy(here, `p1:${inPod}`);
    expect(await sha256(inPod)).toBe(expected);

    await copy(`p1:${inPod}`, back);
    expect(await sha256(back)).toBe(expected);
    await Promise.all([here, inPod, back].map((path) => rm(path)));
  });

  it("copies a folder with an empty file", async () => {
    const outcome = await kubectl.run([
      "exec",
      "p1",
      "--",
      "sh",
      "-c",
      `mkdir -p ${dir}/cargo && cd ${dir}/cargo && : > empty && echo full > full`,
    ]);
    expect(outcome).toMatchObject({ code: 0 });
    await copy(`p1:${dir}/cargo`, join(dir, "landed"));
    expect(await readFile(join(dir, "landed", "empty"), "utf8")).toBe("");
    expect(await readFile(join(dir, "landed", "full"), "utf8")).toBe("full\n");
  });

  it("passes on what tar in the pod says, and its exit code", async () => {
    const here = join(dir, "here");
    await writeFile(here, "ballast");
    const outcome = await kubectl.run(["cp", here, `p1:${dir}/no/such/folder`]);
    expect(outcome).toMatchObject({ code: 2 });
    expect(outcome.stderr).toMatch(/no\/such: Cannot open: No such file or directory/);
  });
});
