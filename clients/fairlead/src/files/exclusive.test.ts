import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { exclusively } from "./exclusive.ts";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  file = join(folder, "state", "lock");
});
afterEach(() => rm(folder, { recursive: true }));

/** Another process that takes the same lock, and holds it until it is killed. */
async function holder() {
  await exclusively(file, 1_000, "tries", async () => {});
  const script = `
    const { DatabaseSync } = require("node:sqlite");
    new DatabaseSync(process.argv[1]).exec("BEGIN EXCLUSIVE");
    console.log("held");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["-e", script, file], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

describe("what is done exclusively", () => {
  it("is done one after the other, and each gets its own result", async () => {
    const log: string[] = [];
    const work = (name: string) =>
      exclusively(file, 5_000, "tries", async () => {
        log.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, 20));
        log.push(`${name} ends`);
        return name;
      });
    expect(await Promise.all([work("a"), work("b"), work("c")])).toEqual(["a", "b", "c"]);
    for (let i = 0; i < log.length; i += 2) expect(log[i + 1]).toBe(log[i]?.replace("begins", "ends"));
  });

  it("waits for another process, and gives up with what that one does", async () => {
    const other = await holder();
    try {
      await expect(exclusively(file, 100, "renews your login", async () => {})).rejects.toMatchObject({
        code: ErrorCode.ALREADY_EXISTS,
        message: "another fairlead of yours renews your login, and does not come to an end; try again",
      });
    } finally {
      other.kill("SIGKILL");
      await once(other, "exit");
    }
  });

  it("goes on when the process that held the lock was killed", async () => {
    const other = await holder();
    const waiting = exclusively(file, 5_000, "tries", async () => "mine");
    other.kill("SIGKILL");
    expect(await waiting).toBe("mine");
  });

  it("gives the lock back when it fails", async () => {
    const failing = exclusively(file, 100, "tries", async () => {
      throw new Error("it fails");
    });
    await expect(failing).rejects.toThrow("it fails");
    expect(await exclusively(file, 100, "tries", async () => "next")).toBe("next");
  });

  it("has a lock that only this user can read", async () => {
    await exclusively(file, 100, "tries", async () => {});
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "state"))).mode & 0o777).toBe(0o700);
  });
});
