import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), "utf8");

/** The rows of the table: number, who refuses, and what is named as showing it. */
const rows = read("docs/reference/security-cases.md")
  .split("\n")
  .filter((line) => /^\| \d+ \|/.test(line))
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .map(([, number = "", , by = "", shownBy = ""]) => ({ number, by, shownBy }));

describe("the table of what is refused", () => {
  it("has all 48 cases, in order", () => {
    expect(rows.map(({ number }) => Number(number))).toEqual(Array.from({ length: 48 }, (_, i) => i + 1));
  });

  it.each(rows.filter(({ by }) => by !== "waits"))("names tests that are there: $number", ({ by, shownBy }) => {
    expect(["path", "part"]).toContain(by);
    const [, file = "", titles = ""] = /^`([^`]+)`: (.+)$/.exec(shownBy) ?? [];
    if (by === "path") expect(file).toMatch(/^test\/(conformance|fault|e2e|real-node)\//);
    const text = read(file);
    const named = [...titles.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => title);
    expect(named.length).toBeGreaterThan(0);
    for (const title of named) expect([file, title, text.includes(title)]).toEqual([file, title, true]);
  });

  it.each(rows.filter(({ by }) => by === "waits"))("says what a case waits for: $number", ({ shownBy }) => {
    expect(shownBy).toMatch(/^for .+/);
  });
});
