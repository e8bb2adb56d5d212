import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { RunningProgram } from "./running-program.ts";

const MAIN = createRequire(import.meta.url).resolve("@fairlead/cli/main");

/** How a command of the CLI ended. */
export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The home of a user of this machine, who runs `fairlead`: with no login, kubeconfig or variable of anybody else's. */
export class Home {
  readonly folder: string;
  readonly #env: Record<string, string>;
  /** Where the "browser" writes the address that it is opened with. */
  readonly #visited: string;

  private constructor(folder: string, env: Record<string, string>) {
    this.folder = folder;
    this.#visited = join(folder, "visited");
    const { NODE_COMPILE_CACHE = "" } = process.env;
    this.#env = { PATH: "/usr/bin:/bin", HOME: folder, BROWSER: join(folder, "browser"), NODE_COMPILE_CACHE, ...env };
  }

  /** @param env more of its environment */
  static async make(under: string, env: Record<string, string> = {}): Promise<Home> {
    const home = new Home(await mkdtemp(join(under, "home-")), env);
    const script = `#!/bin/sh\nprintf '%s' "$1" > ${home.#visited}.new && mv ${home.#visited}.new ${home.#visited}\n`;
    await writeFile(join(home.folder, "browser"), script, { mode: 0o755 });
    return home;
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** Its environment, for other programs of the same user. */
  get env(): Record<string, string> {
    return { ...this.#env };
  }

  /** Starts `fairlead`. @param env more of its environment */
  start(args: readonly string[], env: Record<string, string> = {}): RunningProgram {
    const program = new RunningProgram(
      { file: process.execPath, args: [MAIN, ...args] },
      { env: { ...this.#env, ...env } },
    );
    program.endInput();
    return program;
  }

  /** Runs `fairlead` to its end. */
  async run(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
    const program = this.start(args, env);
    const { code } = await program.exited;
    return { code, stdout: program.stdout, stderr: program.stderr };
  }

  /** The address that `fairlead` opened the browser with, once. */
  async visited(): Promise<string> {
    const url = await eventually(async () => (await readFile(this.#visited, "utf8").catch(() => "")) || undefined, {
      what: "the browser to open",
    });
    await writeFile(this.#visited, "");
    return url;
  }
}
