import { chmod, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ErrorCode } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { controlSocket, sharedFolder } from "./control-socket.ts";

const RELAY = "https://relay.example.com";
const LONG = "long/".repeat(20);
let folder: string;
const before = { ...process.env };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  process.env.XDG_STATE_HOME = join(folder, "state");
  process.env.XDG_RUNTIME_DIR = join(folder, "runtime");
});
afterEach(async () => {
  process.env = { ...before };
  await rm(folder, { recursive: true });
});

describe("the socket of a client proxy", () => {
  it("is another for each relay and each identity, in a folder of this user's alone", async () => {
    const all = [controlSocket(RELAY, "a"), controlSocket(RELAY, "b"), controlSocket("https://other.example.com", "a")];
    expect(new Set(all).size).toBe(3);
    expect(controlSocket(RELAY, "a")).toBe(all[0]);
    expect(dirname(all[0] ?? "")).toBe(join(folder, "state", "fairlead", "run"));
    expect((await stat(dirname(all[0] ?? ""))).mode & 0o777).toBe(0o700);
  });

  it("is in the runtime folder where the state's is too long for a socket", () => {
    process.env.XDG_STATE_HOME = join(folder, LONG);
    expect(dirname(controlSocket(RELAY, "a"))).toBe(join(folder, "runtime", "fairlead"));
  });

  it("is in a folder of this user's among the temporary ones where both are too long, and no other state's", () => {
    Object.assign(process.env, { XDG_STATE_HOME: join(folder, LONG), XDG_RUNTIME_DIR: "" });
    const socket = controlSocket(RELAY, "a");
    expect(dirname(socket)).toBe(sharedFolder());
    process.env.XDG_STATE_HOME = join(folder, LONG, "other");
    expect(controlSocket(RELAY, "a")).not.toBe(socket);
  });
});

describe("a folder among the temporary ones", () => {
  it("is made for this user alone, and used again", async () => {
    const made = sharedFolder(folder);
    expect((await stat(made)).mode & 0o777).toBe(0o700);
    expect(sharedFolder(folder)).toBe(made);
  });

  it("is refused if others can enter it", async () => {
    await chmod(sharedFolder(folder), 0o755);
    expect(() => sharedFolder(folder)).toThrow(expect.objectContaining({ code: ErrorCode.ACCESS_DENIED }));
  });

  it("is refused if it is a link", async () => {
    const made = sharedFolder(folder);
    await rm(made, { recursive: true });
    await symlink(tmpdir(), made);
    expect(() => sharedFolder(folder)).toThrow(/is not a folder of yours alone/);
  });
});
