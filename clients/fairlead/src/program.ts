import { Command } from "commander";
import { COMMANDS } from "./commands/index.ts";
import { addRelayOptions } from "./commands/relay-options.ts";
import { VERSION } from "./version.ts";

/**
 * Runs the program to its end, and says what failed: then it exits 1.
 *
 * @param words the command line, without node and the program
 */
export async function run(words: readonly string[]): Promise<void> {
  try {
    const program = await programFor(words);
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    const { tellFailure } = await import("./failure.ts"); // needs what all commands need, and --version does not
    tellFailure(error, words);
    process.exitCode = 1;
  }
}

/** The program as it is called: of its commands only the called one is loaded, the others are there by name. */
async function programFor(words: readonly string[]): Promise<Command> {
  const program = addRelayOptions(new Command("fairlead"))
    .description("Reach Kubernetes clusters that accept no inbound connection.")
    .version(VERSION)
    .addHelpText("after", EXAMPLES)
    .showHelpAfterError("(add --help for what there is)");
  const called = calledCommand(program, words);
  for (const { name, description, load } of COMMANDS) {
    const command = name === called ? await load() : new Command(name).description(description);
    for (const each of [command, ...command.commands]) each.configureHelp({ showGlobalOptions: true });
    program.addCommand(command);
  }
  return program;
}

const EXAMPLES = `
Examples:
  fairlead clusters                    # what you may reach
  fairlead proxy prod-eu1              # point kubectl at a cluster
  fairlead forward prod-eu1 svc/web 8080:80   # reach a Service of it
  fairlead doctor prod-eu1             # which hop fails, and what to do

Set FAIRLEAD_RELAY and FAIRLEAD_TOKEN, or give --relay and --token-file.`;

/** What comes before the first word that is no option of the program's, nor its value; `help NAME` is of NAME. */
function calledCommand(program: Command, words: readonly string[]): string | undefined {
  const [name, topic] = program.passThroughOptions().parseOptions([...words]).operands;
  program.passThroughOptions(false);
  return name === "help" ? topic : name;
}
