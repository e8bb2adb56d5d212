import type { Case, Figure, Row } from "../case.ts";

/** The results as Markdown: a table for each variant of each case. */
export function markdownTables(cases: readonly Pick<Case, "name" | "title">[], rows: readonly Row[]): string {
  const parts: string[] = [];
  for (const { name, title } of cases) {
    const own = rows.filter((row) => row.case === name);
    if (own.length === 0) continue;
    parts.push(`## ${name}`, "", `${title}.`, "");
    for (const variant of new Set(own.map((row) => row.variant))) {
      const table = markdownTable(own.filter((row) => row.variant === variant));
      parts.push(`### ${variant}`, "", table, "");
    }
  }
  return parts.join("\n");
}

function markdownTable(rows: readonly Row[]): string {
  const columns = columnsOf(rows);
  const hasRatio = rows.some(({ ratioToDirect }) => ratioToDirect !== undefined);
  const head = ["path", ...(hasRatio ? ["ratio to direct"] : []), ...columns.map(({ title }) => title)];
  const body = rows.map((row) => [
    row.failures ? `${row.path} (**${row.failures.count} failed**: ${row.failures.first})` : row.path,
    ...(hasRatio ? [row.ratioToDirect === undefined ? "" : row.ratioToDirect.toFixed(2)] : []),
    ...columns.map((column) => cellOf(row, column)),
  ]);
  const rule = head.map((_, i) => (i === 0 ? "---" : "---:"));
  return [head, rule, ...body].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

interface Column {
  readonly name: string;
  readonly isByProcess: boolean;
  readonly title: string;
}

/** The columns of all figures, in the order of their first appearance. */
function columnsOf(rows: readonly Row[]): Column[] {
  const columns = new Map<string, Column>();
  for (const { name, unit, process } of rows.flatMap(({ figures }) => figures)) {
    const isByProcess = process !== undefined;
    const title = `${name}${isByProcess ? " by process" : ""}${unit === "" ? "" : `, ${unit === "us" ? "µs" : unit}`}`;
    columns.set(title, { name, isByProcess, title });
  }
  return [...columns.values()];
}

function cellOf({ figures }: Row, { name, isByProcess }: Column): string {
  const own = figures.filter((figure) => figure.name === name && (figure.process !== undefined) === isByProcess);
  return own.map((figure) => (isByProcess ? `${figure.process} ${format(figure)}` : format(figure))).join(", ");
}

/** Three digits that mean something. */
export function format({ value }: Pick<Figure, "value">): string {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(2);
}
