import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { writePrivately } from "./private-file.ts";

let state: string;

beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), "fairlead-test-"));
});
afterEach(() => rm(state, { recursive: true }));

const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

describe("a file that is written privately", () => {
  it("is 0600, whatever it was and whatever the umask says", async () => {
    const file = join(state, "file");
    await writeFile(file, "before", { mode: 0o644 });
    await chmod(file, 0o644);
    const umask = process.umask(0);
    await writePrivately(file, "after").finally(() => process.umask(umask));
    expect(await mode(file)).toBe("600");
    expect(await readFile(file, "utf8")).toBe("after");
  });

  it("leaves nothing beside it", async () => {
    await writePrivately(join(state, "file"), "text");
    expect(await readdir(state)).toEqual(["file"]);
  });

  it("leaves nothing beside it when it cannot be put in place", async () => {
    await mkdir(join(state, "folder", "full"), { recursive: true });
    await expect(writePrivately(join(state, "folder"), "secret")).rejects.toThrow();
    expect(await readdir(state)).toEqual(["folder"]);
  });

  it("is whole at every moment while it is written again and again", async () => {
    const file = join(state, "file");
    const texts = ["a".repeat(100_000), "b".repeat(100_000)];
    await writePrivately(file, texts[0] ?? "");
    const writing = Promise.all(Array.from({ length: 20 }, (_, i) => writePrivately(file, texts[i % 2] ?? "")));
    for (let i = 0; i < 20; i++) expect(texts).toContain(await readFile(file, "utf8"));
    await writing;
  });
});
