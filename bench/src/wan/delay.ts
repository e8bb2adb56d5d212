import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { endFork } from "../end-fork.ts";

/** What a delay is told. */
export interface DelayOptions {
  /** The port of loopback that it leads to. */
  readonly port: number;
  /** What it adds to a round trip, in milliseconds. */
  readonly roundTripMs: number;
}

/** A running delay. */
export interface Delay {
  /** Its own port of loopback. */
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a delay before a port. The TCP connection to it is made without one; TLS on it has it. */
export async function startDelay(options: DelayOptions): Promise<Delay> {
  const child = fork(fileURLToPath(new URL("delay-process.js", import.meta.url)), { execArgv: [] });
  child.send(options);
  const [port] = await once(child, "message");
  return { port, pid: child.pid ?? 0, stop: () => endFork(child) };
}
