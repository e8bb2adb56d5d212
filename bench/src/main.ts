#!/usr/bin/env node
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { Bench } from "./bench.ts";
import { cases } from "./cases/cases.ts";
import { type BenchOptions, readOptions } from "./options.ts";
import { describeMachine } from "./report/machine.ts";
import { writePage } from "./report/page.ts";
import { readResults, tablesOf, writeResults } from "./report/results.ts";

const tell = (sentence: string): void => void process.stderr.write(`bench: ${sentence}\n`);
const args = process.argv.slice(2);
const given = readOptions(
  args,
  cases.map(({ name }) => name),
);
const { profile } = given;
const options = { ...given, ...(profile !== undefined && { profile: resolve(profile) }) };

async function measure({ output, quick }: BenchOptions): Promise<void> {
  const chosen = cases.filter(({ name, inQuick }) =>
    options.case.length > 0 ? options.case.includes(name) : inQuick || !quick,
  );
  if (options.profile !== undefined) await mkdir(options.profile, { recursive: true });
  const fixed = { arguments: args, startedAt: new Date().toISOString(), machine: describeMachine(), cases: chosen };
  const bench = await Bench.create(options, tell);
  const end = (): void => void bench.stop().then(() => process.exit(130));
  process.on("SIGINT", end).on("SIGTERM", end); // they may come twice: to us, and to our group
  const results = () => {
    const { missing, disturbances, runs } = bench;
    return { ...fixed, missing: Object.fromEntries(missing), disturbances, runs };
  };
  try {
    // Written after each case, so that a run that is cut short is not lost.
    await bench.run(chosen, () => writeResults(results(), output));
  } finally {
    await bench.stop();
  }
  console.log(tablesOf(results()));
  tell(`took ${Math.round(performance.now() / 1_000)} s; results, table and plots are in ${output}`);
}

try {
  if (options.page) tell(`wrote ${await writePage(await readResults(options.output))}`);
  else await measure(options);
  process.exit(0);
} catch (error) {
  tell(`error: ${error instanceof Error ? error.stack : error}`);
  process.exit(1);
}
