#!/usr/bin/env node
import { Bench } from "./bench.ts";
import { cases } from "./cases/cases.ts";
import { readOptions } from "./options.ts";
import { markdownTables } from "./report/table.ts";

const tell = (sentence: string): void => void process.stderr.write(`bench: ${sentence}\n`);
const options = readOptions(
  process.argv.slice(2),
  cases.map(({ name }) => name),
);
const chosen = cases.filter(({ name, inQuick }) =>
  options.case.length > 0 ? options.case.includes(name) : inQuick || !options.quick,
);

const bench = await Bench.create(options, tell);
try {
  const runs = await bench.run(chosen);
  console.log(markdownTables(chosen, runs.flat()));
} finally {
  await bench.stop();
}
process.exit();
