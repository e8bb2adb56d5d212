import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "@jest/globals";

const BENCH = fileURLToPath(new URL("../../bench/dist/main.js", import.meta.url));
const SHORT = ["--quick", "--round-seconds", "0.3", "--case", "small-get", "--path", "fairlead"];

let output: string;

beforeAll(async () => {
  output = await mkdtemp(join(tmpdir(), "fairlead-bench-test-"));
});

afterAll(() => rm(output, { recursive: true }));

it("the bench measures a small GET, directly and through the whole path, and writes tables, figures and plots", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [BENCH, ...SHORT, "--output", output]);
  expect(stdout).toContain("### kube-apiserver, 1 at once");
  expect(stdout).toMatch(/\| fairlead \| 0\.\d\d \|/);
  const { runs, missing } = JSON.parse(await readFile(join(output, "results.json"), "utf8"));
  expect(missing).toEqual({});
  const variants = ["kube-apiserver, 1 at once", "kube-apiserver, 64 at once"];
  variants.push("fast origin, 1 at once", "fast origin, 64 at once");
  const expected = variants.flatMap((variant) => [
    { variant, path: "direct" },
    { variant, path: "fairlead" },
  ]);
  expected.push({ variant: "event loops, the whole case", path: "fairlead" });
  expect(runs).toEqual([expected.map((row) => expect.objectContaining(row))]);
  for (const { figures, failures } of runs[0]) {
    expect(failures).toBeUndefined();
    for (const { value } of figures) expect(value).toEqual(expect.any(Number)); // JSON has null for what is no number
  }
  const processes = runs[0][1].figures.flatMap(({ process }: { process?: string }) => process ?? []);
  expect(processes).toEqual([
    ...["client proxy", "relay", "agent", "identity proxy"],
    ...["kube-apiserver", "etcd", "load"],
  ]);
  expect(`${await readFile(join(output, "table.md"), "utf8")}\n`).toBe(stdout);
  expect(await readFile(join(output, "plots", "small-get.svg"), "utf8")).toMatch(/^<svg /);
});
