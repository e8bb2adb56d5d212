import type { Command } from "commander";

/** How a command answers: for people, with more columns for them, for programs, or names alone for a shell's loops. */
export const OUTPUT_FORMATS = ["text", "wide", "json", "yaml", "name"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** An answer in the formats that a command has. The others are asked for by nobody: see {@link refuseOtherFormats}. */
export interface Answer {
  /** For programs, as JSON or YAML. */
  value: () => unknown;
  text: () => string;
  wide?: () => string;
  names?: () => readonly string[];
}

/** What each command can answer in, beside text and JSON. */
const MORE_FORMATS = new WeakMap<Command, readonly OutputFormat[]>();

const WANTS_COLOUR = process.stderr.isTTY && process.env.NO_COLOR === undefined && process.env.TERM !== "dumb";

/** Says that a command can answer in more formats than text and JSON, which all have. */
export function withFormats(command: Command, ...formats: OutputFormat[]): Command {
  MORE_FORMATS.set(command, formats);
  return command;
}

/** Ends the program with a sentence if a command is asked for a format that it has not, before it does anything. */
export function refuseOtherFormats(command: Command): void {
  const { output = "text" } = command.optsWithGlobals<{ output?: OutputFormat }>();
  const formats = ["text", "json", ...(MORE_FORMATS.get(command) ?? [])];
  if (formats.includes(output)) return;
  command.error(`error: ${command.name()} cannot answer as ${output}, but as ${formats.join(", ")}`);
}

/** Prints an answer in a format. */
export async function printAnswer(format: OutputFormat, { value, text, wide = text, names }: Answer): Promise<void> {
  if (format === "text") print(text());
  else if (format === "wide") print(wide());
  else if (format === "json") printJson(value());
  else if (format === "yaml") print((await import("yaml")).stringify(value(), { lineWidth: 0 }).trimEnd());
  else for (const name of names?.() ?? []) print(name);
}

/** Prints an answer on standard output. */
export function print(text: string): void {
  process.stdout.write(`${harmless(text)}\n`);
}

/** Prints an answer as JSON on standard output. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, process.stdout.isTTY ? 2 : 0));
}

/** Tells a person what goes on, on standard error, so that standard output stays an answer. */
export function tell(text: string): void {
  process.stderr.write(`${harmless(text)}\n`);
}

/** Tells what failed. */
export function tellError(sentence: string): void {
  const text = harmless(sentence);
  process.stderr.write(WANTS_COLOUR ? `\u001b[31merror:\u001b[39m ${text}\n` : `error: ${text}\n`);
}

/** What comes from a relay or a cluster may not tell a terminal what to do. */
function harmless(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => (control === "\n" || control === "\t" ? control : "\ufffd"));
}

/** Rows in columns, as kubectl prints them. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("   ")
        .trimEnd(),
    )
    .join("\n");
}
