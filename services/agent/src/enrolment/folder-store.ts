import { hash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type AgentState, StateChanged, type StateStore, type Stored } from "./state-store.ts";

const FILE = "agent.json";

/** Keeps an agent's state in a folder, for its own user only. For agents outside a cluster, of which there is one. */
export class FolderStore implements StateStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws Error if there is a file that is none of ours */
  async load(): Promise<Stored> {
    const text = await this.#read();
    if (text === undefined) return { state: {}, version: "" };
    return { state: parsed(text, this.#file), version: hash("sha256", text) };
  }

  async save(state: AgentState, version: string): Promise<Stored> {
    if ((await this.load()).version !== version) throw new StateChanged();
    const text = JSON.stringify(state);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeFile(`${this.#file}.new`, text, { mode: 0o600, flush: true });
    await rename(`${this.#file}.new`, this.#file); // whole, or not at all
    return { state, version: hash("sha256", text) };
  }

  get #file(): string {
    return join(this.#folder, FILE);
  }

  async #read(): Promise<string | undefined> {
    try {
      return await readFile(this.#file, "utf8");
    } catch (error) {
      if (Object(error).code === "ENOENT") return undefined;
      throw error;
    }
  }
}

/** Never with a part of the text in the error: there is a key in it. */
function parsed(text: string, file: string): AgentState {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${file} is not an agent's state; remove it, and give the agent a join token`);
  }
}
