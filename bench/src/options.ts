import { Command, InvalidArgumentError } from "commander";

/** What was asked for on the command line. */
export interface BenchOptions {
  /** Less of everything: the whole in under 2 minutes. */
  readonly quick: boolean;
  /** The cases to run; empty for all, or for all of a quick run. */
  readonly case: readonly string[];
  /** The paths to measure beside direct; empty for all that can be had. */
  readonly path: readonly string[];
  /** How often everything is done; figures are medians over that. */
  readonly runs: number;
  /** How long the fixed-rate case takes for each path, in seconds. */
  readonly seconds: number;
  /** How long the soak case takes, without its warm-up, in seconds. */
  readonly soakSeconds: number;
  /** How long each measurement takes, in seconds. */
  readonly roundSeconds: number;
  /** How often each measurement is made in one run. */
  readonly rounds: number;
  /** Where each process of ours writes a CPU profile. */
  readonly profile: string | undefined;
  /** Programs of peers, or folders with them, by name. */
  readonly peer: Readonly<Record<string, string>>;
  /** Where the results go. */
  readonly output: string;
  /** Only writes the page from the results that are there. */
  readonly page: boolean;
}

const EXAMPLES = `
Examples:
  npm run bench -- --quick
  npm run bench -- --case small-get --path fairlead --profile /tmp/profiles
  npm run bench -- --runs 3 --peer chisel=/opt/chisel --peer frp=/opt/frp --peer konnectivity=/opt/konnectivity
  npm run bench -- --page

Paths: direct (always), fairlead, "fairlead, direct endpoint", "kubectl proxy", remotedialer (built with Go from its module) and the given peers.
`;

/** Reads the command line. It ends the process on --help and on what cannot be understood. */
export function readOptions(args: readonly string[], caseNames: readonly string[]): BenchOptions {
  const command = new Command("npm run bench --")
    .description("Measure the tunnel beside a direct connection and beside other tunnels, on this machine.")
    .option("--quick", "less of everything, and direct, fairlead and kubectl proxy alone: under 2 minutes", false)
    .option("--case <name>", `one of ${caseNames.join(", ")}; may be repeated (default: all)`, oneOf(caseNames), [])
    .option("--path <name>", "a path to measure beside direct; may be repeated (default: all)", repeated, [])
    .option("--peer <name=path>", "a peer's program, or the folder with its programs; may be repeated", peer, {})
    .option("--runs <n>", "how often everything is done; figures are medians over that", count, 1)
    .option("--rounds <n>", "how often each measurement is made in one run (default: 3, quick: 1)", count)
    .option("--round-seconds <n>", "how long each measurement takes (default: 3, quick: 1)", positive)
    .option(
      "--seconds <n>",
      "how long fixed-rate takes for each path (default: 60, quick: 3), and soak (default: 600)",
      positive,
    )
    .option("--profile <dir>", "write a CPU profile of each process of ours there; it slows all down")
    .option("--output <dir>", "where table.md, results.json and the plots go", ".cache/bench")
    .option("--page", "only write docs/reference/performance.md from the results in --output", false)
    .addHelpText("after", EXAMPLES)
    .parse(args, { from: "user" });
  const given = command.opts();
  const short = given.quick === true;
  return {
    ...(given as BenchOptions),
    rounds: given.rounds ?? (short ? 1 : 3),
    roundSeconds: given.roundSeconds ?? (short ? 1 : 3),
    seconds: given.seconds ?? (short ? 3 : 60),
    soakSeconds: given.seconds ?? 600,
  };
}

function oneOf(names: readonly string[]): (value: string, before: string[]) => string[] {
  return (value, before) => {
    if (!names.includes(value)) throw new InvalidArgumentError(`the cases are ${names.join(", ")}`);
    return [...before, value];
  };
}

function repeated(value: string, before: string[]): string[] {
  return [...before, value];
}

function peer(value: string, before: Record<string, string>): Record<string, string> {
  const [, name, path] = /^(chisel|frp|konnectivity)=(.+)$/.exec(value) ?? [];
  if (name === undefined || path === undefined) {
    throw new InvalidArgumentError("chisel=PROGRAM, frp=FOLDER or konnectivity=FOLDER is due");
  }
  return { ...before, [name]: path };
}

function count(value: string): number {
  if (!/^[1-9]\d*$/.test(value)) throw new InvalidArgumentError("a whole number above 0 is due");
  return Number(value);
}

function positive(value: string): number {
  if (!(Number(value) > 0)) throw new InvalidArgumentError("a number above 0 is due");
  return Number(value);
}
