import type { Command } from "commander";
import type { RelayOptions } from "../commands/relay-options.ts";
import { programWith } from "../program.ts";
import { type CommandLine, optionsOf, readCommandLine } from "./command-line.ts";

/** What a shell may do if it finds nothing here: as cobra, by which kubectl completes, numbers it. */
const OFFER_FILES = ":0";
const OFFER_NOTHING = ":4";
/** How long the relay may take to list clusters, in milliseconds: somebody has pressed a key. */
const RELAY_TIMEOUT_MS = 1_000;

/** What an argument is called whose values are clusters' names. */
const CLUSTERS = /^clusters?$/;

/** A word, and what it means. */
type Candidate = readonly [word: string, description: string];

/**
 * Says how the last word can go on: a line for each way, with a description behind a tab, and last what the shell may do
 * beside. It is what cobra's `__complete` says, which kubectl expects of a plugin's `kubectl_complete-NAME` too.
 *
 * @param words the command line, without the program; the last one may be empty
 */
export async function complete(words: readonly string[]): Promise<string> {
  const [before, word] = [words.slice(0, -1), words.at(-1) ?? ""];
  const named = readCommandLine(await programWith(undefined), before)?.command.name();
  const line = readCommandLine(await programWith(named), before);
  if (line === undefined) return OFFER_FILES;
  const candidates = (await candidatesFor(line, word)).filter(([each]) => each.startsWith(word));
  const wantsFile = isFile(line.option?.flags) || (line.option === undefined && isFile(line.argument?.name()));
  return [
    ...candidates.map(([each, description]) => `${each}\t${description}`),
    wantsFile ? OFFER_FILES : OFFER_NOTHING,
  ].join("\n");
}

async function candidatesFor(line: CommandLine, word: string): Promise<readonly Candidate[]> {
  const { command, option, argument, mayBeCommand } = line;
  if (option) return option.attributeName() === "cluster" ? clusters(line) : choices(option.argChoices);
  if (word.startsWith("-")) {
    return optionsOf(command).flatMap(({ long, description }): Candidate[] => (long ? [[long, description]] : []));
  }
  const names = mayBeCommand ? command.commands.map((each): Candidate => [each.name(), each.description()]) : [];
  const values = CLUSTERS.test(argument?.name() ?? "") ? await clusters(line) : choices(argument?.argChoices);
  return [...names, ...values];
}

const choices = (words: readonly string[] = []): Candidate[] => words.map((word) => [word, ""]);
const isFile = (text = ""): boolean => /<?(file|folder|chart)>?$/.test(text);

/** The clusters that the caller may reach; none if that cannot be known at once: nobody can read an error now. */
async function clusters({ command, values }: CommandLine): Promise<readonly Candidate[]> {
  try {
    const [{ relayOf }, { stateName }] = await Promise.all([
      import("../commands/global-options.ts"),
      import("../commands/cluster-output.ts"),
    ]);
    const options = { ...fromEnvironment(command), ...values } as unknown as RelayOptions;
    if (options.tokenFile === "-") return []; // standard input is the shell's
    const listed = await relayOf(options).clusters.listClusters({}, { timeoutMs: RELAY_TIMEOUT_MS });
    return listed.clusters.map(({ name, state }) => [name, stateName(state)]);
  } catch {
    return [];
  }
}

function fromEnvironment(command: Command): Record<string, string | undefined> {
  return Object.fromEntries(
    optionsOf(command).map((option) => [option.attributeName(), option.envVar && process.env[option.envVar]]),
  );
}
