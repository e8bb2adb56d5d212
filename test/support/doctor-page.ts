import { readFileSync } from "node:fs";
import { expect } from "@jest/globals";
import type { Side } from "./doctor.ts";

const PAGE = new URL("../../docs/reference/doctor.md", import.meta.url);

/** A row of the page's table: what doctor answers to a fault. */
export interface FaultRow {
  readonly number: number;
  readonly fault: string;
  /** Whose answer it is. */
  readonly side: "both" | Side;
  readonly check: string;
  /** What its evidence has in it. */
  readonly seen: string;
  /** What its remedy has in it. */
  readonly remedy: string;
}

/** The table of docs/reference/doctor.md: what the tests hold doctor to. */
export function faultRows(): FaultRow[] {
  return readFileSync(PAGE, "utf8")
    .split("\n")
    .filter((line) => /^\| \d+ \|/.test(line))
    .map((line) => {
      const [, number = "", fault = "", side = "", check = "", seen = "", remedy = ""] = line
        .split("|")
        .map((cell) => cell.trim());
      return { number: Number(number), fault, side: sideOf(side), check: bare(check), seen: bare(seen), remedy };
    });
}

/** The failure that the page promises for a fault, for jest's `toMatchObject`. @throws Error if it promises none */
export function promised(fault: string, side: Side): object {
  const row = faultRows().find((one) => one.fault === fault && (one.side === "both" || one.side === side));
  if (!row) throw new Error(`docs/reference/doctor.md has no row of this fault for the ${side}: ${fault}`);
  const { check, seen, remedy } = row;
  const failed = { check, seen: expect.stringContaining(seen), remedy: expect.stringContaining(remedy) };
  return { healthy: false, failed };
}

function sideOf(text: string): FaultRow["side"] {
  if (text === "both" || text === "client" || text === "agent") return text;
  throw new Error(`docs/reference/doctor.md: ${text} is no side`);
}

function bare(code: string): string {
  return code.replace(/^`|`$/g, "");
}
