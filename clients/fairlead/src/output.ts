/** How a command answers: for people, or as JSON for programs. */
export type OutputFormat = "text" | "json";

const WANTS_COLOUR = process.stderr.isTTY && process.env.NO_COLOR === undefined && process.env.TERM !== "dumb";

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
