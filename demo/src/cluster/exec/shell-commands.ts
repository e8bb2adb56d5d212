import { setTimeout as delay } from "node:timers/promises";
import { interruptedStatus, type ShellCommand, type ShellSession } from "./shell-session.ts";

const maxSequence = 10_000_000;
const blockCharacters = 16 * 1024;

/** The commands of the demo shell besides `sh`, `cd` and `exit`. None touches the user's machine. */
export const shellCommands: ReadonlyMap<string, ShellCommand> = new Map<string, ShellCommand>([
  ["true", async () => 0],
  ["false", async () => 1],
  ["echo", echo],
  ["cat", cat],
  ["ls", (session) => print(session, [...session.files.keys()].map((name) => `${name}\n`).join(""))],
  ["date", (session) => print(session, `${new Date().toUTCString()}\n`)],
  ["hostname", (session) => print(session, `${session.hostname}\n`)],
  ["id", (session) => print(session, "uid=1000(demo) gid=1000(demo) groups=1000(demo)\n")],
  ["pwd", (session) => print(session, "/\n")],
  ["env", env],
  ["seq", seq],
  ["sleep", sleep],
]);

async function print(session: ShellSession, text: string): Promise<number> {
  await session.stdout(text);
  return 0;
}

function echo(session: ShellSession, args: string[]): Promise<number> {
  const bare = args[0] === "-n";
  return print(session, `${(bare ? args.slice(1) : args).join(" ")}${bare ? "" : "\n"}`);
}

function env(session: ShellSession): Promise<number> {
  const shown = [...session.variables].filter(([name]) => name !== "?");
  return print(session, shown.map(([name, value]) => `${name}=${value}\n`).join(""));
}

/** Without files, copies stdin until the client half-closes it. */
async function cat(session: ShellSession, args: string[]): Promise<number> {
  let status = 0;
  for (const name of args.length > 0 ? args : ["-"]) {
    const content = session.files.get(name.replace(/^\.?\//, ""));
    if (name === "-") await copyStdin(session);
    else if (content !== undefined) await session.stdout(content);
    else {
      await session.stderr(`cat: ${name}: No such file or directory\n`);
      status = 1;
    }
  }
  return status;
}

async function copyStdin(session: ShellSession): Promise<void> {
  for (;;) {
    const chunk = await session.stdin.read(session.signal);
    if (!chunk) return;
    await session.stdout(chunk);
  }
}

/** Prints numbers, in blocks: a simple way to make much output. */
async function seq(session: ShellSession, args: string[]): Promise<number> {
  const [first, last] = args.length > 1 ? [Number(args[0]), Number(args[1])] : [1, Number(args[0])];
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || last - first > maxSequence) {
    await session.stderr(`usage: seq [FIRST] LAST, at most ${maxSequence} numbers\n`);
    return 1;
  }
  let block = "";
  for (let number = first; number <= last; number += 1) {
    block += `${number}\n`;
    if (block.length < blockCharacters && number < last) continue;
    if (session.signal.aborted) return interruptedStatus;
    await session.stdout(block);
    block = "";
  }
  return 0;
}

async function sleep(session: ShellSession, args: string[]): Promise<number> {
  const seconds = Number(args[0]);
  if (!(seconds >= 0 && seconds <= 86_400)) {
    await session.stderr("usage: sleep SECONDS\n");
    return 1;
  }
  try {
    await delay(seconds * 1000, undefined, { signal: session.signal });
    return 0;
  } catch {
    return interruptedStatus;
  }
}
