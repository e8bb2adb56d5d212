import type { Argument, Command, Option } from "commander";

/** A command line up to the word that is being completed. */
export interface CommandLine {
  /** The innermost command that is named. */
  command: Command;
  /** The option whose value the word is. */
  option: Option | undefined;
  /** The argument that it is otherwise. */
  argument: Argument | undefined;
  /** Whether it may be the name of a command. */
  mayBeCommand: boolean;
  /** The values of the options before it, by the names that commander gives them. */
  values: Readonly<Record<string, string>>;
}

/**
 * Reads a command line that is not complete, which commander would refuse.
 *
 * @param words those before the one that is being completed
 * @returns undefined behind a `--`: what follows is another program's
 */
export function readCommandLine(program: Command, words: readonly string[]): CommandLine | undefined {
  let command = program;
  let option: Option | undefined;
  let argumentCount = 0;
  const values: Record<string, string> = {};
  for (const word of words) {
    if (option !== undefined) {
      values[option.attributeName()] = word;
      option = undefined;
    } else if (word === "--") return undefined;
    else if (word.startsWith("-")) {
      const [flag, value] = word.split(/=(.*)/, 2);
      const found = optionsOf(command).find(({ long, short }) => flag === long || flag === short);
      if (found && value !== undefined) values[found.attributeName()] = value;
      else if (found?.required) option = found;
    } else {
      const named = argumentCount === 0 ? command.commands.find((each) => each.name() === word) : undefined;
      if (named) command = named;
      else argumentCount++;
    }
  }
  const argument =
    command.registeredArguments[argumentCount] ?? command.registeredArguments.find((each) => each.variadic);
  return { command, option, argument, mayBeCommand: argumentCount === 0, values };
}

/** The options that a command takes: its own, and those of the commands that it is of. */
export function optionsOf(command: Command): Option[] {
  const own = command.createHelp().visibleOptions(command);
  return command.parent ? [...own, ...optionsOf(command.parent).filter(({ long }) => long !== "--help")] : own;
}
