import { type Command, InvalidArgumentError } from "commander";

/** What the command line of every service has. */
export interface ServiceCommandOptions {
  private?: string;
  /** In seconds. */
  grace: number;
}

/** Adds the options that every service process has. */
export function addProcessOptions(command: Command): Command {
  return command
    .option("--private <address>", "HOST:PORT for /healthz, /readyz and /metrics")
    .option("--grace <seconds>", "how long exchanges may go on after SIGTERM", seconds, 20);
}

function seconds(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError("a whole number of seconds is due");
  return Number(value);
}
