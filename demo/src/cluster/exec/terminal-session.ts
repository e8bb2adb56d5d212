import { PassThrough, type Readable } from "node:stream";
import { ByteReader } from "./byte-reader.ts";
import { isShell, runCommand } from "./shell.ts";
import type { ShellSession } from "./shell-session.ts";
import { TerminalInput } from "./terminal-input.ts";

/** Lines typed ahead of a program that does not read. Later ones are dropped, as a real terminal drops them. */
const maxLinesAhead = 1024;

/**
 * Runs a command with a terminal: stderr joins stdout, newlines become CR LF, keys are echoed, and Ctrl-C ends
 * the command in front.
 * @param plain the session as it would be without a terminal
 * @param keys single key presses from the client
 * @returns the exit status
 */
export async function runOnTerminal(plain: ShellSession, keys: Readable, argv: string[]): Promise<number> {
  const show = (output: string | Buffer) => plain.stdout(output.toString().replace(/\r?\n/g, "\r\n"));
  const front = new Foreground(plain.signal);
  const lines = new PassThrough({ objectMode: true });
  void pumpKeys(keys, lines, show, front).catch(() => lines.end());
  const stdin = new ByteReader(lines);
  const session: ShellSession = { ...plain, stdin, stdout: show, stderr: show, inFront: (run) => front.run(run) };
  if (isShell(argv[0])) return runCommand(session, argv);
  return front.run((signal) => runCommand({ ...session, signal }, argv));
}

/** The command that Ctrl-C ends. */
class Foreground {
  readonly #gone: AbortSignal;
  #command: AbortController | undefined;

  constructor(gone: AbortSignal) {
    this.#gone = gone;
  }

  async run(run: (signal: AbortSignal) => Promise<number>): Promise<number> {
    const outer = this.#command;
    const command = new AbortController();
    this.#command = command;
    try {
      return await run(AbortSignal.any([this.#gone, command.signal]));
    } finally {
      this.#command = outer;
    }
  }

  /** @returns false when no command is in front */
  interrupt(): boolean {
    this.#command?.abort();
    return this.#command !== undefined;
  }
}

async function pumpKeys(
  keys: Readable,
  lines: PassThrough,
  show: (text: string) => Promise<void>,
  front: Foreground,
): Promise<void> {
  let echoed = "";
  const input = new TerminalInput({
    echo: (text) => {
      echoed += text;
    },
    deliver: (line) => {
      if (lines.writableLength < maxLinesAhead) lines.write(line);
    },
    interrupt: () => {
      // An empty line gets a shell to show its prompt again.
      if (!front.interrupt()) lines.write(Buffer.from("\n"));
    },
  });
  for await (const chunk of keys) {
    input.feed(chunk);
    const pending = echoed;
    echoed = "";
    // Sent before the program wakes up, so the echo stands before the program's answer.
    await show(pending);
  }
  lines.end();
}
