import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Kubectl } from "./kubectl.ts";
import { RunningProgram } from "./running-program.ts";

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/**
 * A kubectl whose stdin, stdout and stderr are a terminal, by script(1): kubectl refuses to make the other end a
 * terminal when its own is none.
 */
export class KubectlInTerminal {
  readonly program: RunningProgram;
  private readonly device: string;

  private constructor(program: RunningProgram, device: string) {
    this.program = program;
    this.device = device;
  }

  static async start(
    kubectl: Kubectl,
    args: readonly string[],
    { rows, columns }: TerminalSize,
  ): Promise<KubectlInTerminal> {
    const { file } = kubectl.command(args);
    const command = [file, ...args].map(quote).join(" ");
    const script = `stty rows ${rows} cols ${columns}; tty; exec ${command}`;
    const program = new RunningProgram(
      { file: "script", args: ["--quiet", "--return", "--command", script, "/dev/null"] },
      { env: { ...kubectl.environment(), SHELL: "/bin/sh" } },
    );
    const [, device = ""] = await program.waitForOutput(/^(\/dev\/\S+)\r?\n/);
    return new KubectlInTerminal(program, device);
  }

  type(keys: string): void {
    this.program.write(keys);
  }

  /** What a window does when it is dragged: the kernel tells kubectl by SIGWINCH. */
  async resize({ rows, columns }: TerminalSize): Promise<void> {
    await promisify(execFile)("stty", ["-F", this.device, "rows", `${rows}`, "cols", `${columns}`]);
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
