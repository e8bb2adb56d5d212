import { Command } from "commander";
import { calledAs } from "./called-as.ts";
import { COMMANDS } from "./commands/index.ts";
import { addRelayOptions } from "./commands/relay-options.ts";
import { refuseOtherFormats } from "./output.ts";
import { VERSION } from "./version.ts";

/** As what kubectl runs the program for `kubectl fairlead`. */
const PLUGIN = "kubectl-fairlead";
/** As what it asks how a line of that can go on; a package's file has no underscore in its name. */
const PLUGIN_COMPLETION = /^kubectl[_-]complete-fairlead$/;

/**
 * Runs the program to its end, and says what failed: then it exits 1.
 *
 * @param words the command line, without node and the program
 */
export async function run(words: readonly string[]): Promise<void> {
  try {
    if (PLUGIN_COMPLETION.test(calledAs())) await printCompletions(words);
    else if (words[0] === "__complete") await printCompletions(words.slice(1));
    else await runCommand(words);
  } catch (error) {
    const { tellFailure } = await import("./failure.ts"); // needs what all commands need, and --version does not
    tellFailure(error, words);
    process.exitCode = 1;
  }
}

/** Exits at once: a relay that does not answer is still dialled. */
async function printCompletions(words: readonly string[]): Promise<void> {
  const { complete } = await import("./completion/complete.ts");
  process.stdout.write(`${await complete(words)}\n`, () => process.exit());
}

async function runCommand(words: readonly string[]): Promise<void> {
  const called = calledCommand(await programWith(undefined), words);
  const program = await programWith(called);
  await program.parseAsync(words, { from: "user" });
}

/**
 * The program with one of its commands; the others are there by name.
 *
 * @param called the command's name; undefined for none
 */
export async function programWith(called: string | undefined): Promise<Command> {
  const isPlugin = calledAs() === PLUGIN;
  const program = addRelayOptions(new Command(isPlugin ? "kubectl fairlead" : "fairlead"))
    .description("Reach Kubernetes clusters that accept no inbound connection.")
    .version(VERSION)
    .addHelpText("after", EXAMPLES)
    .showHelpAfterError("(add --help for what there is)")
    .hook("preAction", (_program, command) => refuseOtherFormats(command));
  if (isPlugin) program.configureOutput({ writeOut: (text) => process.stdout.write(asPlugin(text)) });
  for (const { name, description, load } of COMMANDS) {
    const command = name === called ? await load() : new Command(name).description(description);
    for (const each of [command, ...command.commands]) {
      each.configureHelp({ showGlobalOptions: true }).configureOutput(program.configureOutput());
    }
    program.addCommand(command);
  }
  return program;
}

const EXAMPLES = `
Examples:
  fairlead login https://relay.example.com
  fairlead clusters                    # what you may reach
  fairlead proxy prod-eu1              # point kubectl at a cluster
  fairlead forward prod-eu1 svc/web 8080:80   # reach a Service of it
  fairlead doctor prod-eu1             # which hop fails, and what to do

Without a login: set FAIRLEAD_RELAY and FAIRLEAD_TOKEN, or give --relay and --token-file.`;

/** Help whose examples are the commands that were called. */
const asPlugin = (text: string): string => text.replaceAll(/^ {2}fairlead /gm, "  kubectl fairlead ");

/** What comes before the first word that is no option of the program's, nor its value; `help NAME` is of NAME. */
function calledCommand(program: Command, words: readonly string[]): string | undefined {
  const [name, topic] = program.passThroughOptions().parseOptions([...words]).operands;
  return name === "help" ? topic : name;
}
