import { expandWord, parseScript, type SimpleCommand } from "./command-line.ts";
import { shellCommands } from "./shell-commands.ts";
import { interruptedStatus, type ShellSession } from "./shell-session.ts";

/** How a script went on: to its end, or to an `exit` that also ends the shell around it. */
interface ScriptResult {
  status: number;
  exited: boolean;
}

/**
 * Runs one command of an exec request.
 * @param argv the command as the client sent it, not yet split or expanded by any shell
 * @returns the exit status; 127 for a command the demo does not have
 */
export async function runCommand(session: ShellSession, argv: string[]): Promise<number> {
  const [name = "", ...args] = argv;
  if (isShell(name)) return runShell(session, args);
  if (name === "exit") return Number(args[0] ?? 0) & 0xff;
  const command = shellCommands.get(name.replace(/^(\/usr)?\/bin\//, ""));
  if (command) return command(session, args);
  const known = [...shellCommands.keys(), "sh", "exit"].join(", ");
  await session.stderr(`sh: ${name}: not found (the demo cluster's shell has ${known})\n`);
  return 127;
}

/** True for the command that starts the shell itself, which stays when a command in front is interrupted. */
export function isShell(command: string | undefined): boolean {
  return command === "sh" || command === "/bin/sh";
}

async function runShell(session: ShellSession, args: string[]): Promise<number> {
  const [option, script] = args;
  if (option === "-c") return (await runScript(session, script ?? "")).status;
  if (option !== undefined && option !== "-i") {
    await session.stderr(`sh: ${option}: the demo shell takes no file\n`);
    return 2;
  }
  return readAndRun(session);
}

async function readAndRun(session: ShellSession): Promise<number> {
  const prompt = session.terminal ? `${session.hostname} (demo):/ $ ` : "";
  let status = 0;
  for (;;) {
    if (prompt) await session.stdout(prompt);
    const line = await session.stdin.readLine(session.signal);
    if (line === undefined) return status;
    const result = await runScript(session, line);
    status = result.status;
    if (result.exited) return status;
  }
}

async function runScript(session: ShellSession, script: string): Promise<ScriptResult> {
  let status = Number(session.variables.get("?") ?? 0);
  let commands: SimpleCommand[];
  try {
    commands = parseScript(script);
  } catch (error) {
    await session.stderr(`sh: ${error instanceof SyntaxError ? error.message : "syntax error"}\n`);
    return { status: 2, exited: false };
  }
  for (const { argv, toStderr, runs } of commands) {
    if ((runs === "after-success" && status !== 0) || (runs === "after-failure" && status === 0)) continue;
    if (session.signal.aborted) return { status: interruptedStatus, exited: true };
    const words = argv.map((word) => expandWord(word, session.variables));
    if (words[0] === "exit") return { status: Number(words[1] ?? status) & 0xff, exited: true };
    const output = toStderr ? session.stderr : session.stdout;
    status = await session.inFront((signal) => runCommand({ ...session, stdout: output, signal }, words));
    session.variables.set("?", String(status));
    // Ctrl-C ends the rest of the line as well.
    if (status === interruptedStatus) break;
  }
  return { status, exited: false };
}
