import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Case, Row } from "../case.ts";
import { memoryPlotOf } from "./line-plot.ts";
import type { Machine } from "./machine.ts";
import { mergeRuns } from "./merge-runs.ts";
import { plotOf } from "./plot.ts";
import { markdownTables } from "./table.ts";

/** Everything that a bench run found out, as it lies in results.json. */
export interface Results {
  /** The command's own arguments. */
  readonly arguments: readonly string[];
  readonly startedAt: string;
  readonly machine: Machine;
  /** The paths that could not be had, by name, with the reason. */
  readonly missing: Readonly<Record<string, string>>;
  /** The measurements during which others used the machine too. */
  readonly disturbances: readonly string[];
  readonly cases: readonly Pick<Case, "name" | "title" | "plotted">[];
  /** The rows of each run. */
  readonly runs: readonly (readonly Row[])[];
}

/** Writes results.json, table.md and plots/CASE.svg. */
export async function writeResults(results: Results, dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "results.json"), `${JSON.stringify(results, undefined, 2)}\n`);
  await writeFile(join(dir, "table.md"), tablesOf(results));
  await writePlots(results, join(dir, "plots"));
}

/** The medians of all runs as Markdown. */
export function tablesOf({ cases, runs }: Results): string {
  return markdownTables(cases, mergeRuns(runs));
}

/** Writes the plot of each case that has rows. @returns the names of those cases */
export async function writePlots({ cases, runs }: Results, dir: string): Promise<string[]> {
  await mkdir(dir, { recursive: true });
  const rows = mergeRuns(runs);
  const plotted = cases.filter(({ name }) => rows.some((row) => row.case === name));
  const lastRun = runs.at(-1) ?? [];
  const hasMemory = new Set(lastRun.filter(({ memory }) => memory !== undefined).map((row) => row.case));
  for (const one of plotted) {
    const plot = hasMemory.has(one.name) ? memoryPlotOf(one, lastRun) : plotOf(one, rows);
    await writeFile(join(dir, `${one.name}.svg`), plot);
  }
  return plotted.map(({ name }) => name);
}

/** @throws Error if there are none */
export async function readResults(dir: string): Promise<Results> {
  return JSON.parse(await readFile(join(dir, "results.json"), "utf8"));
}
