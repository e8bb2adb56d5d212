import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { FolderStore } from "./folder-store.ts";
import { StateChanged } from "./state-store.ts";

let parent: string;
let folder: string;
let store: FolderStore;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  folder = join(parent, "state");
  store = new FolderStore(folder);
});

afterEach(() => rm(parent, { recursive: true }));

const STATE = { certificate: "a certificate", key: "a key" };

describe("a state in a folder", () => {
  it("is empty at first", async () => {
    expect((await store.load()).state).toEqual({});
  });

  it("is there again when the agent starts again", async () => {
    const { version } = await store.load();
    const saved = await store.save(STATE, version);
    expect(await new FolderStore(folder).load()).toEqual(saved);
    expect(saved.state).toEqual(STATE);
  });

  it("is for the agent's own user only, and leaves nothing else behind", async () => {
    await store.save(STATE, (await store.load()).version);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(await readdir(folder)).toEqual(["agent.json"]);
    expect((await stat(join(folder, "agent.json"))).mode & 0o777).toBe(0o600);
  });

  it("is not written over one that was changed meanwhile", async () => {
    const { version } = await store.load();
    await store.save(STATE, version);
    await expect(store.save({ key: "another" }, version)).rejects.toBeInstanceOf(StateChanged);
    expect((await store.load()).state).toEqual(STATE);
  });

  it("that is none is refused without a word of it", async () => {
    await store.save(STATE, (await store.load()).version);
    await writeFile(join(folder, "agent.json"), `{"key": "canary`);
    await expect(store.load()).rejects.toThrow(/agent\.json is not an agent's state; remove it/);
    await expect(store.load()).rejects.not.toThrow(/canary/);
  });
});
