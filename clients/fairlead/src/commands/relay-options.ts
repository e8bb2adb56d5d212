import { type Command, Option } from "commander";
import { OUTPUT_FORMATS, type OutputFormat } from "../output.ts";

/** Options of every command that talks to a relay. */
export interface RelayOptions {
  profile?: string;
  relay?: string;
  relayCa?: string;
  tokenFile?: string;
  output: OutputFormat;
}

/** Adds them to the program: commander takes them before and behind a command's name. */
export function addRelayOptions(program: Command): Command {
  return program
    .addOption(new Option("--profile <name>", "the relay that you logged in to by that name").env("FAIRLEAD_PROFILE"))
    .addOption(
      new Option("--relay <url>", "the relay, https://HOST:PORT (default: your profile's)").env("FAIRLEAD_RELAY"),
    )
    .addOption(
      new Option("--relay-ca <file>", "authority that signed the relay's certificate (default: the system's)").env(
        "FAIRLEAD_RELAY_CA",
      ),
    )
    .option(
      "--token-file <file>",
      "your token; - for standard input (default: the variable FAIRLEAD_TOKEN, or your login's)",
    )
    .addOption(new Option("--output <format>", "how to answer").choices(OUTPUT_FORMATS).default("text"));
}
