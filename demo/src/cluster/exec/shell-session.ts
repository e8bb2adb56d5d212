import type { ByteReader } from "./byte-reader.ts";

/** What a simulated command sees of its pod and of the client. */
export interface ShellSession {
  hostname: string;
  terminal: boolean;
  variables: Map<string, string>;
  /** The pod's files; a command can read them and nothing of the machine the demo runs on. */
  files: ReadonlyMap<string, string>;
  stdin: ByteReader;
  /** Both wait while the client does not read. */
  stdout(output: string | Buffer): Promise<void>;
  stderr(output: string | Buffer): Promise<void>;
  /** Aborts when the client goes away, or for Ctrl-C while this command is in front. */
  signal: AbortSignal;
  /** Runs a command of an interactive shell with a signal of its own, so that Ctrl-C ends it and not the shell. */
  inFront(run: (signal: AbortSignal) => Promise<number>): Promise<number>;
}

/** What a shell reports for a command ended by Ctrl-C: 128 + SIGINT. */
export const interruptedStatus = 130;

/** A simulated command: gets its arguments, gives its exit status. */
export type ShellCommand = (session: ShellSession, args: string[]) => Promise<number>;
